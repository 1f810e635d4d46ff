#include "textflag.h"

// The letters of the escapes of two bytes, by the control character: b, t, n, f, r.
DATA letters<>+0(SB)/8, $0
DATA letters<>+8(SB)/8, $0x00007266006e7462
GLOBL letters<>(SB), RODATA|NOPTR, $16

// BYTES fills x with the byte c. R8 is overwritten.
#define BYTES(c, x) \
	MOVQ   $(c*0x0101010101010101), R8 \
	MOVQ   R8, x                       \
	PUNPCKLQDQ x, x

// HALF escapes the eight low bytes of X1, whose special ones AX marks, and moves
// DI behind them: spread puts each in its place, and a backslash where it has the
// highest bit set.
#define HALF \
	MOVQ    AX, R9       \
	SHLQ    $4, R9       \
	MOVOU   (BX)(R9*1), X2 \
	MOVO    X1, X3       \
	PSHUFB  X2, X3       \
	PXOR    X4, X4       \
	PCMPGTB X2, X4       \
	PAND    X12, X4      \
	POR     X4, X3       \
	MOVOU   X3, (DI)     \
	POPCNTQ AX, AX       \
	LEAQ    8(DI)(AX*1), DI

// func escapeVector(to, from []byte, spread *[256][16]byte) (written, read int)
TEXT ·escapeVector(SB), NOSPLIT, $0-72
	MOVQ to_base+0(FP), DI
	MOVQ to_len+8(FP), R10
	MOVQ from_base+24(FP), SI
	MOVQ from_len+32(FP), R11
	MOVQ spread+48(FP), BX
	ADDQ DI, R10
	SUBQ $32, R10                // the last place to write a block to
	ADDQ SI, R11
	SUBQ $16, R11                // the last place to read one from
	BYTES(0x1f, X10)
	BYTES(0x22, X11)
	BYTES(0x5c, X12)
	BYTES(0x0f, X13)
	MOVOU letters<>(SB), X14
	PXOR  X15, X15

block:
	CMPQ DI, R10
	JHI  done
	CMPQ SI, R11
	JHI  done
	MOVOU (SI), X0

	// X5: control characters. X6: their letters, 0 where they have none.
	MOVO    X0, X5
	PMINUB  X10, X5
	PCMPEQB X0, X5
	MOVO    X0, X7
	PMINUB  X13, X7
	PCMPEQB X0, X7               // those below 0x10
	MOVO    X14, X6
	PSHUFB  X0, X6
	PAND    X7, X6

	// What cannot be done here: control characters without a letter, and all from 0x80 on.
	MOVO     X6, X8
	PCMPEQB  X15, X8
	PAND     X5, X8
	POR      X0, X8
	PMOVMSKB X8, AX
	TESTL    AX, AX
	JNZ      done

	MOVO     X0, X1
	PCMPEQB  X11, X1
	POR      X1, X5
	MOVO     X0, X1
	PCMPEQB  X12, X1
	POR      X1, X5
	PMOVMSKB X5, DX
	ADDQ     $16, SI
	TESTL    DX, DX
	JNZ      special
	MOVOU    X0, (DI)
	ADDQ     $16, DI
	JMP      block

special:
	MOVO  X7, X1
	PANDN X0, X1
	POR   X6, X1                 // the letters in the places of what they stand for
	MOVBQZX DX, AX
	HALF
	PSRLO $8, X1
	MOVQ  DX, AX
	SHRQ  $8, AX
	HALF
	JMP   block

done:
	SUBQ to_base+0(FP), DI
	MOVQ DI, written+56(FP)
	SUBQ from_base+24(FP), SI
	MOVQ SI, read+64(FP)
	RET
