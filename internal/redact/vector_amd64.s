#include "textflag.h"

DATA nibble<>+0(SB)/1, $0x0f
GLOBL nibble<>(SB), RODATA|NOPTR, $1

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
	VPXOR          Y14, Y14, Y14

block:
	CMPQ    AX, DX
	JGT     done
	VMOVDQU (SI)(AX*1), Y0
	VMOVDQU 32(SI)(AX*1), Y1
	OTHERS(Y0, Y2, R8)
	OTHERS(Y1, Y3, R9)
	SHLQ    $32, R9
	ORQ     R9, R8
	NOTQ    R8
	BOTH(R8, 1, R9)
	BOTH(R8, 2, R9)
	BOTH(R8, 4, R9)
	BOTH(R8, 8, R9)              // the starts of 16 in a row
	TESTQ   R8, R8
	JNZ     found
	ADDQ    $48, AX              // such a row may begin in the last 15 bytes
	JMP     block

found:
	TZCNTQ R8, R8
	ADDQ   R8, AX

done:
	VZEROUPPER
	MOVQ AX, ret+40(FP)
	RET
