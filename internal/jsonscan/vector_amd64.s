#include "textflag.h"

DATA quote<>+0(SB)/1, $0x22
GLOBL quote<>(SB), RODATA|NOPTR, $1
DATA backslash<>+0(SB)/1, $0x5c
GLOBL backslash<>(SB), RODATA|NOPTR, $1
DATA lastControl<>+0(SB)/1, $0x1f
GLOBL lastControl<>(SB), RODATA|NOPTR, $1
DATA nibble<>+0(SB)/1, $0x0f
GLOBL nibble<>(SB), RODATA|NOPTR, $1

// What may follow a backslash, but for u: a byte is one of them if the entries
// of its two halves have a bit in common.
//   bit 0: 0x22 " and 0x2f /    bit 1: 0x5c \    bit 2: 0x62 b, 0x66 f, 0x6e n
//   bit 3: 0x72 r and 0x74 t
DATA byLow<>+0(SB)/8, $0x00040008000d0000
DATA byLow<>+8(SB)/8, $0x0104000200000000
GLOBL byLow<>(SB), RODATA|NOPTR, $16
DATA byHigh<>+0(SB)/8, $0x0804020000010000
DATA byHigh<>+8(SB)/8, $0x0000000000000000
GLOBL byHigh<>(SB), RODATA|NOPTR, $16

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
	VPBROADCASTB   quote<>(SB), Y8
	VPBROADCASTB   backslash<>(SB), Y9
	VPBROADCASTB   lastControl<>(SB), Y10
	VPBROADCASTB   nibble<>(SB), Y11
	VBROADCASTI128 byLow<>(SB), Y12
	VBROADCASTI128 byHigh<>(SB), Y13
	VPXOR          Y14, Y14, Y14
	MOVQ $0x5555555555555555, DI  // even bits
	XORL R8, R8                   // 1 when the block's first byte is escaped

block:
	CMPQ AX, DX
	JGT  end
	VMOVDQU (SI)(AX*1), Y0
	VMOVDQU 32(SI)(AX*1), Y1
	VPCMPEQB Y8, Y0, Y2
	VPCMPEQB Y8, Y1, Y3
	MASK(Y2, Y3, R9, R13)         // quotes
	VPCMPEQB Y9, Y0, Y2
	VPCMPEQB Y9, Y1, Y3
	MASK(Y2, Y3, R11, R13)        // backslashes
	VPMINUB  Y10, Y0, Y2
	VPMINUB  Y10, Y1, Y3
	VPCMPEQB Y0, Y2, Y2
	VPCMPEQB Y1, Y3, Y3
	MASK(Y2, Y3, R12, R13)        // control characters
	MOVQ R9, R13
	ORQ  R11, R13
	ORQ  R12, R13
	ORQ  R8, R13
	JZ   next

	// Which bytes are escaped: those behind an odd number of backslashes.
	// Adding the backslashes to the starts of the runs that start at an odd
	// place turns the parity of what is behind them (Langdale and Lemire,
	// "Parsing gigabytes of JSON per second", section 3.1.1).
	ANDNQ R11, R8, R11            // an escaped backslash escapes nothing
	LEAQ  (R8)(R11*2), R13        // behind a backslash
	MOVQ  DI, CX
	ORQ   R13, CX
	ANDNQ R11, CX, CX             // backslashes at odd places that no other precedes
	XORL  R8, R8
	ADDQ  R11, CX
	SETCS R8                      // a run goes on into the next block
	SHLQ  $1, CX
	XORQ  DI, CX
	ANDQ  R13, CX                 // escaped

	// Escaped bytes that need a closer look.
	VPSHUFB  Y0, Y12, Y2
	VPSHUFB  Y1, Y12, Y3
	VPSRLW   $4, Y0, Y0
	VPSRLW   $4, Y1, Y1
	VPAND    Y11, Y0, Y0
	VPAND    Y11, Y1, Y1
	VPSHUFB  Y0, Y13, Y0
	VPSHUFB  Y1, Y13, Y1
	VPAND    Y0, Y2, Y2
	VPAND    Y1, Y3, Y3
	VPCMPEQB Y14, Y2, Y2
	VPCMPEQB Y14, Y3, Y3
	MASK(Y2, Y3, R10, BX)
	ANDQ  CX, R10

	ANDNQ R9, CX, R9              // quotes that are not escaped
	ORQ   R12, R9
	ORQ   R10, R9
	JNZ   found

next:
	ADDQ $64, AX
	JMP  block

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
