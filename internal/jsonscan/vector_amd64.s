#include "textflag.h"

DATA backslash<>+0(SB)/1, $0x5c
GLOBL backslash<>(SB), RODATA|NOPTR, $1
// Swapping the quote, 0x22, with the blank puts it next to the control characters.
DATA swap<>+0(SB)/1, $0x02
GLOBL swap<>(SB), RODATA|NOPTR, $1
DATA last<>+0(SB)/1, $0x20
GLOBL last<>(SB), RODATA|NOPTR, $1

DATA nibble<>+0(SB)/1, $0x0f
GLOBL nibble<>(SB), RODATA|NOPTR, $1

// The class of a byte is what the entries of its two halves have in common:
//   bit 7: a control character  bit 6: 0x22 "
// and, for what may follow a backslash, but for u and another backslash,
//   bit 0: 0x22 " and 0x2f /    bit 1: 0x62 b, 0x66 f, 0x6e n    bit 2: 0x72 r and 0x74 t
DATA byLow<>+0(SB)/8, $0x8082808480c78080
DATA byLow<>+8(SB)/8, $0x8182808080808080
GLOBL byLow<>(SB), RODATA|NOPTR, $16
DATA byHigh<>+0(SB)/8, $0x0402000000418080
DATA byHigh<>+8(SB)/8, $0x0000000000000000
GLOBL byHigh<>(SB), RODATA|NOPTR, $16

// stops are the bits of what does not stand for itself; what is left of a class
// says that the byte can be escaped.
DATA stops<>+0(SB)/1, $0xc0
GLOBL stops<>(SB), RODATA|NOPTR, $1

// CLASS gives the classes of the bytes of a vector, which it destroys.
#define CLASS(bytes, class) \
	VPSHUFB bytes, Y12, class \
	VPSRLW  $4, bytes, bytes  \
	VPAND   Y11, bytes, bytes \
	VPSHUFB bytes, Y13, bytes \
	VPAND   bytes, class, class

// GOOD marks the bytes of a class that are all right, given which are behind a
// backslash: with one, they have to be fit for it, without, they must not stop.
#define GOOD(class, behind, out) \
	VPXOR    Y10, behind, out \
	VPAND    class, out, out  \
	VPCMPEQB Y14, out, out    \
	VPXOR    behind, out, out

// MASK gathers the highest bits of the bytes of two vectors in one word.
#define MASK(low, high, out, scratch) \
	VPMOVMSKB low, out       \
	VPMOVMSKB high, scratch  \
	SHLQ      $32, scratch   \
	ORQ       scratch, out

// func skipVector(b []byte, i int) int
TEXT ·skipVector(SB), NOSPLIT, $0-40
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), DX
	MOVQ i+24(FP), AX
	SUBQ $64, DX                  // where the last whole block starts
	VPBROADCASTB   backslash<>(SB), Y9
	VPBROADCASTB   stops<>(SB), Y10
	VPBROADCASTB   nibble<>(SB), Y11
	VBROADCASTI128 byLow<>(SB), Y12
	VBROADCASTI128 byHigh<>(SB), Y13
	VPXOR          Y14, Y14, Y14
	MOVQ $0x5555555555555555, DI  // even bits
	XORL R8, R8
	CMPB -1(SI)(AX*1), $0x5c
	JEQ  runs                     // that one escapes nothing: it is escaped itself

	// Here the byte before a block, if it is a backslash, escapes the block's
	// first one. A backslash behind another is not good: where there is one, runs
	// takes over.
block:
	CMPQ AX, DX
	JGT  pending
	VMOVDQU  (SI)(AX*1), Y0
	VMOVDQU  32(SI)(AX*1), Y1
	VPCMPEQB -1(SI)(AX*1), Y9, Y4
	VPCMPEQB 31(SI)(AX*1), Y9, Y5
	CLASS(Y0, Y2)
	CLASS(Y1, Y3)
	GOOD(Y2, Y4, Y6)
	GOOD(Y3, Y5, Y7)
	VPAND     Y6, Y7, Y6
	VPMOVMSKB Y6, R9
	ADDQ $64, AX
	CMPL R9, $-1
	JEQ  block
	SUBQ $64, AX

pending:
	XORL  R8, R8
	CMPB  -1(SI)(AX*1), $0x5c
	SETEQ R8

	// Here R8 alone says whether the block's first byte is escaped.
runs:
	CMPQ AX, DX
	JGT  end
	VMOVDQU  (SI)(AX*1), Y0
	VMOVDQU  32(SI)(AX*1), Y1
	VPCMPEQB Y9, Y0, Y4
	VPCMPEQB Y9, Y1, Y5
	MASK(Y4, Y5, R11, R13)        // backslashes
	CLASS(Y0, Y2)
	CLASS(Y1, Y3)
	MASK(Y2, Y3, R12, R13)        // control characters
	VPCMPEQB Y14, Y2, Y4
	VPCMPEQB Y14, Y3, Y5
	MASK(Y4, Y5, R10, R13)        // of no class
	VPADDB   Y2, Y2, Y2
	VPADDB   Y3, Y3, Y3
	MASK(Y2, Y3, R9, R13)         // quotes

	// Which bytes are escaped: those behind an odd number of backslashes.
	// Adding the backslashes to the starts of the runs that start at an odd
	// place turns the parity of what is behind them (Langdale and Lemire,
	// "Parsing gigabytes of JSON per second", section 3.1.1).
	ANDNQ R11, R8, BX             // an escaped backslash escapes nothing
	LEAQ  (R8)(BX*2), R13         // behind a backslash
	MOVQ  DI, CX
	ORQ   R13, CX
	ANDNQ BX, CX, CX              // backslashes at odd places that no other precedes
	XORL  R8, R8
	ADDQ  BX, CX
	SETCS R8                      // a run goes on into the next block
	SHLQ  $1, CX
	XORQ  DI, CX
	ANDQ  R13, CX                 // escaped

	ANDNQ R10, R11, R10
	ANDQ  CX, R10                 // escaped, but not by a simple escape
	ANDNQ R9, CX, R9              // quotes that are not escaped
	ORQ   R12, R9
	ORQ   R10, R9
	JNZ   found
	ADDQ  $64, AX
	BTQ   $63, R11
	JCS   runs                    // who knows what a last backslash is?
	JMP   block

found:
	BSFQ R9, BX
	ADDQ BX, AX
	BTQ  BX, CX
	SBBQ $0, AX                   // to the backslash of what is escaped
	JMP  return

end:
	SUBQ R8, AX                   // to the backslash that escapes what is next

return:
	VZEROUPPER
	MOVQ AX, ret+32(FP)
	RET

// func stopsVector(b *[64]byte) uint64
TEXT ·stopsVector(SB), NOSPLIT, $0-16
	MOVQ b+0(FP), SI
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPBROADCASTB backslash<>(SB), Y2
	VPBROADCASTB swap<>(SB), Y3
	VPBROADCASTB last<>(SB), Y4
	VPCMPEQB Y0, Y2, Y5
	VPCMPEQB Y1, Y2, Y6
	VPXOR    Y0, Y3, Y0
	VPXOR    Y1, Y3, Y1
	VPMINUB  Y0, Y4, Y7
	VPMINUB  Y1, Y4, Y8
	VPCMPEQB Y0, Y7, Y0
	VPCMPEQB Y1, Y8, Y1
	VPOR     Y0, Y5, Y0
	VPOR     Y1, Y6, Y1
	MASK(Y0, Y1, AX, CX)
	VZEROUPPER
	MOVQ AX, ret+8(FP)
	RET
