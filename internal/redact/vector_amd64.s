#include "textflag.h"

DATA nibble<>+0(SB)/1, $0x0f
GLOBL nibble<>(SB), RODATA|NOPTR, $1
DATA dash<>+0(SB)/1, $0x2d
GLOBL dash<>(SB), RODATA|NOPTR, $1
DATA letterI<>+0(SB)/1, $0x49
GLOBL letterI<>(SB), RODATA|NOPTR, $1

// OTHERS puts into mask which of the 32 bytes in x are in no set, Y12 and Y13 by
// halves. A byte from 0x80 on is none's: its low half finds 0.
#define OTHERS(x, scratch, mask) \
	VPSRLW    $4, x, scratch       \
	VPAND     Y11, scratch, scratch \
	VPSHUFB   scratch, Y13, scratch \
	VPSHUFB   x, Y12, x            \
	VPAND     scratch, x, x        \
	VPCMPEQB  Y14, x, x            \
	VPMOVMSKB x, mask

// BOTH leaves the bits of x behind which, n further on, there is another one.
#define BOTH(x, n, scratch) \
	MOVQ x, scratch  \
	SHRQ $n, scratch \
	ANDQ scratch, x

// func runVector(b []byte, from int, set *halves) int
TEXT ·runVector(SB), NOSPLIT, $0-48
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), DX
	MOVQ from+24(FP), AX
	MOVQ set+32(FP), BX
	SUBQ $64, DX                 // where the last whole block starts
	VBROADCASTI128 (BX), Y12
	VBROADCASTI128 16(BX), Y13
	VPBROADCASTB   nibble<>(SB), Y11
	VPBROADCASTB   dash<>(SB), Y10
	VPBROADCASTB   letterI<>(SB), Y9
	VPXOR          Y14, Y14, Y14

block:
	CMPQ    AX, DX
	JGT     done
	VMOVDQU (SI)(AX*1), Y0
	VMOVDQU 32(SI)(AX*1), Y1
	OTHERS(Y0, Y2, R8)
	OTHERS(Y1, Y3, R9)
	SHLQ    $32, R9
	ORQ     R9, R8               // where no token character is
	MOVQ    R8, R10
	NOTQ    R8
	BOTH(R8, 1, R9)
	BOTH(R8, 2, R9)
	BOTH(R8, 4, R9)
	BOTH(R8, 8, R9)              // the starts of 16 in a row
	TESTQ   R8, R8
	JNZ     found

next:
	ADDQ $48, AX                 // such a row may begin in the last 15 bytes
	JMP  block

found:
	VMOVDQU   (SI)(AX*1), Y0
	VMOVDQU   32(SI)(AX*1), Y1
	VPCMPEQB  Y10, Y0, Y2
	VPCMPEQB  Y9, Y0, Y0
	VPOR      Y2, Y0, Y0
	VPMOVMSKB Y0, R11
	VPCMPEQB  Y10, Y1, Y3
	VPCMPEQB  Y9, Y1, Y1
	VPOR      Y3, Y1, Y1
	VPMOVMSKB Y1, R9
	SHLQ      $32, R9
	ORQ       R9, R11            // dashes and Is

run:
	TZCNTQ R8, CX                // where the run begins
	LEAQ   (AX)(CX*1), R13
	SHRXQ  CX, R10, R9
	TESTQ  R9, R9
	JZ     hit                   // it may go on behind the block
	TZCNTQ R9, R9                // how long it is
	SHRXQ  CX, R11, BX
	BZHIQ  R9, BX, BX
	TESTQ  BX, BX
	JNZ    hit
	TESTQ  R13, R13
	JZ     pass
	CMPB   -1(SI)(R13*1), $0x20
	JEQ    hit

pass:
	MOVQ   $-1, BX
	BZHIQ  R9, BX, BX
	SHLXQ  CX, BX, BX
	ANDNQ  R8, BX, R8            // the starts outside of this run
	TESTQ  R8, R8
	JNZ    run
	JMP    next

hit:
	MOVQ R13, AX

done:
	VZEROUPPER
	MOVQ AX, ret+40(FP)
	RET

// GROUPS makes x the groups that have its bytes at one place, by their halves.
#define GROUPS(x, low, high, scratch) \
	VPSRLW  $4, x, scratch        \
	VPAND   Y11, scratch, scratch \
	VPSHUFB scratch, high, scratch \
	VPSHUFB x, low, x             \
	VPAND   scratch, x, x

// func anchorVector(b []byte, from int, set *anchorSet) int
TEXT ·anchorVector(SB), NOSPLIT, $0-48
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), DX
	MOVQ from+24(FP), AX
	MOVQ set+32(FP), BX
	SUBQ $34, DX                 // where the last whole block starts
	VBROADCASTI128 (BX), Y5
	VBROADCASTI128 16(BX), Y6
	VBROADCASTI128 32(BX), Y7
	VBROADCASTI128 48(BX), Y8
	VBROADCASTI128 64(BX), Y9
	VBROADCASTI128 80(BX), Y10
	VPBROADCASTB   nibble<>(SB), Y11
	VPXOR          Y14, Y14, Y14

places:
	CMPQ    AX, DX
	JGT     none
	VMOVDQU (SI)(AX*1), Y0
	VMOVDQU 1(SI)(AX*1), Y1
	VMOVDQU 2(SI)(AX*1), Y2
	GROUPS(Y0, Y5, Y6, Y3)
	GROUPS(Y1, Y7, Y8, Y4)
	GROUPS(Y2, Y9, Y10, Y12)
	VPAND   Y1, Y0, Y0
	VPAND   Y2, Y0, Y0
	VPTEST  Y0, Y0
	JNZ     one
	ADDQ    $32, AX
	JMP     places

one:
	VPCMPEQB  Y14, Y0, Y0
	VPMOVMSKB Y0, R8
	NOTL      R8
	TZCNTL    R8, R8
	ADDQ      R8, AX

none:
	VZEROUPPER
	MOVQ AX, ret+40(FP)
	RET
