/*
 * Instructions that 16-, 32- and 64-bit code all have, each in the encodings of all three, in a table of where these
 * begin and end, and the text. EBP points into the data page, EBX too, aligned; ESI and EDI likewise.
 */
	.macro I text:vararg
	.section .rodata.insns.code, "a", @progbits
	.code64
771:	\text
	.code32
772:	\text
	.code16
773:	\text
774:
	.code64
	.section .rodata.insns.text, "a", @progbits
775:	.asciz "\text"
	.section .data.rel.ro.insns.table, "aw", @progbits
	.quad 771b, 772b, 773b, 774b, 775b
	.endm

	.section .data.rel.ro.insns.table, "aw", @progbits
	.globl narrow_insns, narrow_insns_end
narrow_insns:
	.irp op, add, or, adc, sbb, and, sub, xor, cmp, test
	I \op\()b %dl, %cl
	I \op\()b %dh, 3(%ebp)
	I \op\()w %dx, %cx
	I \op\()w %dx, 5(%ebp)
	I \op\()w $0x1234, %ax
	I \op\()l %edx, %ecx
	I \op\()l %edx, 5(%ebp)
	I \op\()l $0x12345678, %eax
	I \op\()l $-3, 7(%ebp)
	.endr
	.irp op, add, or, adc, sbb, and, sub, xor, cmp
	I \op\()b 3(%ebp), %dh
	I \op\()w 5(%ebp), %dx
	I \op\()l 5(%ebp), %edx
	I \op\()l (%ebx,%edi), %edx
	.endr
	.irp op, inc, dec, neg, not
	I \op\()b %dh
	I \op\()w %dx
	I \op\()w (%ebp)
	I \op\()l %eax
	I \op\()l %ecx
	I \op\()l (%ebp)
	.endr
	.irp op, shl, shr, sar, rol, ror, rcl, rcr
	I \op\()b $3, %dl
	I \op\()w $3, %dx
	I \op\()l $7, %edx
	I \op\()l %cl, %edx
	I \op\()w %cl, (%ebp)
	I \op\()l $5, (%ebp)
	.endr
	.irp op, bt, bts, btr, btc
	I \op\()w %dx, %cx
	I \op\()l %edx, %ecx
	I \op\()l $9, (%ebp)
	I \op\()l %eax, (%ebp)
	I \op\()w %ax, (%ebp)
	.endr
	I shldl $5, %edx, %ecx
	I shldw %cl, %dx, (%ebp)
	I shrdl %cl, %edx, (%ebp)
	I bsfl %edx, %eax
	I bsrw 2(%ebp), %ax
	I popcntl %edx, %eax
	I mull %edx
	I mulw (%ebp)
	I mulb 1(%ebp)
	I imull %edx
	I imull 5(%ebp), %edx
	I imulw $77, 5(%ebp), %dx
	I divl %ecx
	I divw 4(%ebp)
	I idivl (%ebp)
	I divb %cl
	I bswap %edx
	I xchgl %eax, %edx
	I xchgw %dx, 3(%ebp)
	I xaddl %edx, (%ebp)
	I lock xaddw %dx, (%ebp)
	I cmpxchgl %edx, (%ebp)
	I cmpxchgw %cx, 2(%ebp)
	I lock cmpxchg8b (%ebp)
	I movb $0x5a, (%ebp)
	I movw $0x5a5a, (%ebp)
	I movl $0x12345678, 9(%ebp)
	I movl %edx, 4(%ebx)
	I movw 4(%ebx,%edi,2), %cx
	I movl 4(%ebp), %edx
	I movb %ah, (%ebp)
	I movzbl 3(%ebp), %edx
	I movzwl %cx, %edx
	I movsbw 3(%ebp), %dx
	I movswl 3(%ebp), %edx
	I leal 0x1234(%ecx,%edx,8), %eax
	I leaw 0x34(%ecx,%edx,8), %ax
	I cbtw
	I cwtl
	I cwtd
	I cltd
	I xlatb
	I clc
	I stc
	I cmc
	I lahf
	I sahf
	I setg %dl
	I setc (%ebp)
	I cmovgl 4(%ebp), %edx
	I cmovnel %ecx, %edx
	I cmovcw 4(%ebp), %dx
	I movsb (%esi), %es:(%edi)
	I movsw (%esi), %es:(%edi)
	I movsl (%esi), %es:(%edi)
	I stosb %al, %es:(%edi)
	I stosl %eax, %es:(%edi)
	I lodsb (%esi), %al
	I lodsw (%esi), %ax
	I lodsl (%esi), %eax
	I scasw %es:(%edi), %ax
	I cmpsb %es:(%edi), (%esi)
	I rep movsb (%esi), %es:(%edi)
	I rep movsl (%esi), %es:(%edi)
	I rep stosw %ax, %es:(%edi)
	I repe cmpsl %es:(%edi), (%esi)
	I repne scasb %es:(%edi), %al
	I movntil %edx, (%ebp)
	I crc32w 2(%ebp), %edx
	I crc32l %ecx, %edx
	I rorxl $7, 5(%ebp), %edx
	I shlxl %ecx, 5(%ebp), %edx
	I andnl 5(%ebp), %ecx, %edx
	I pextl %ecx, %eax, %edx
	I movbel 5(%ebp), %edx
	I movbew 5(%ebp), %dx
	I fldl (%ebx)
	I flds 4(%ebp)
	I fildl 8(%ebp)
	I fistpl (%ebp)
	I fstps (%ebp)
	I faddp %st, %st(1)
	I fnstsw %ax
	I fnstcw (%ebp)
	I fsincos
	I movq 8(%ebp), %mm1
	I paddb %mm1, %mm2
	I movaps (%ebx), %xmm1
	I movups 1(%ebp), %xmm2
	I movdqa %xmm3, 16(%ebx)
	I movapd %xmm3, 16(%ebx)
	I movss 4(%ebp), %xmm4
	I movsd %xmm4, 4(%ebp)
	I addps 16(%ebx), %xmm4
	I mulpd %xmm1, %xmm2
	I pxor %xmm1, %xmm7
	I pshufb (%ebx), %xmm6
	I pcmpeqd %xmm5, %xmm6
	I punpcklbw %xmm5, %xmm6
	I cvtsi2sdl %edx, %xmm1
	I cvtsi2ssl 4(%ebp), %xmm1
	I cvttsd2si %xmm1, %edx
	I movd %edx, %xmm3
	I movd %xmm3, (%ebp)
	I movmskps %xmm3, %edx
	I pmovmskb %xmm3, %edx
	I pextrw $3, %xmm3, %edx
	I pinsrw $3, 4(%ebp), %xmm3
	I vaddps 16(%ebx), %ymm2, %ymm1
	I vpxor %xmm1, %xmm2, %xmm3
	I vmovdqu 1(%ebp), %ymm4
	I vmovups %ymm4, 1(%ebp)
	I aesenc 16(%ebx), %xmm1
	I maskmovq %mm1, %mm2
	I maskmovdqu %xmm1, %xmm2
	I vmaskmovps 1(%ebp), %xmm2, %xmm3
narrow_insns_end:
	.section .note.GNU-stack, "", @progbits
