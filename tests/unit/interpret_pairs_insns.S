/*
 * Each instruction that forms pairs, by the name of the function that executes it: once as the first of a pair and once
 * as the second, whose source is the first's destination. Memory lies before RSI, of the second before RDI.
 * Behind these, likewise, in 32-bit and in 16-bit code: what such code has of them.
 */
	.macro I role:req, name:req, text:vararg
	.globl \role\()_\name, \role\()_\name\()_end
\role\()_\name:
	\text
\role\()_\name\()_end:
	.endm

	.macro both role, s, d, m
	I \role, mov64_rr, mov %r\s\()x, %r\d\()x
	I \role, mov32_rr, mov %e\s\()x, %e\d\()x
	I \role, mov64_rm, mov -8(%r\m), %r\d\()x
	I \role, mov32_rm, mov -8(%r\m), %e\d\()x
	I \role, mov64_mr, mov %r\s\()x, -8(%r\m)
	I \role, mov32_mr, mov %e\s\()x, -8(%r\m)
	I \role, lea64, lea 5(%r\s\()x,%r\d\()x,4), %r\d\()x
	I \role, add64_rr, add %r\s\()x, %r\d\()x
	I \role, add64_ri, add $0x12345678, %r\d\()x
	I \role, add64_rm, add -8(%r\m), %r\d\()x
	I \role, add32_ri, add $-0x71, %e\d\()x
	I \role, sub64_rr, sub %r\s\()x, %r\d\()x
	I \role, adc64_rr, adc %r\s\()x, %r\d\()x
	I \role, imul64_r, imul %r\s\()x, %r\d\()x
	I \role, shl64_imm, shl $5, %r\d\()x
	I \role, shr64_imm, shr $3, %r\d\()x
	I \role, and32_ri, and $0x7ffffff5, %e\d\()x
	I \role, xor32_rr, xor %e\s\()x, %e\d\()x
	I \role, cmp64_rr, cmp %r\s\()x, %r\d\()x
	I \role, cmp64_ri, cmp $0x7f, %r\d\()x
	I \role, cmp32_rr, cmp %e\s\()x, %e\d\()x
	I \role, cmp32_ri, cmp $0x7f, %e\d\()x
	I \role, cmp8_ri, cmp $0x41, %\d\()l
	I \role, cmp8_mi, cmpb $0x41, -8(%r\m)
	I \role, test64_rr, test %r\s\()x, %r\d\()x
	I \role, test32_rr, test %e\s\()x, %e\d\()x
	I \role, test8_rr, test %\s\()l, %\d\()l
	I \role, test8_mi, testb $0x41, -8(%r\m)
	I \role, movzx32_8_r, movzbl %\s\()l, %e\d\()x
	I \role, movzx32_8_m, movzbl -8(%r\m), %e\d\()x
	I \role, movzx32_16_m, movzwl -8(%r\m), %e\d\()x
	I \role, movsx64_32_r, movslq %e\s\()x, %r\d\()x
	I \role, push64w_reg, push %r\s\()x
	I \role, pop64w_reg, pop %r\d\()x
	I \role, set2_r, setb %\d\()l
	I \role, cmov3_64_r, cmovae %r\s\()x, %r\d\()x
	.endm

	.section .rodata.pairs, "a", @progbits
	both first, a, b, si
	I first, mov64_mi, movq $0x12345678, -8(%rsi)
	I first, mov32_ri, mov $0x9abcdef0, %ebx
	I first, sub64_ri, sub $0x12345678, %rbx
	I first, shr32_imm, shr $7, %ebx
	I first, and64_rr, and %rax, %rbx
	I first, or64_rr, or %rax, %rbx
	I first, cmp64_rm, cmp -8(%rsi), %rbx
	both second, b, d, di
	I second, op_end
	I second, op_jmp, jmp . + 0x60
	I second, op_call, call . + 0x60
	I second, op_ret, ret
	I second, jcc2, jb . + 0x60
	I second, jcc3, jae . + 0x60
	I second, jcc4, je . + 0x60
	I second, jcc5, jne . + 0x60
	I second, jcc6, jbe . + 0x60
	I second, jcc7, ja . + 0x60
	I second, jcc8, js . + 0x60
	I second, jcc9, jns . + 0x60
	I second, jcc12, jl . + 0x60
	I second, jcc13, jge . + 0x60
	I second, jcc14, jle . + 0x60
	I second, jcc15, jg . + 0x60

	.macro narrow role, s, d, m
	I \role, mov32_rr, mov %e\s\()x, %e\d\()x
	I \role, mov32_rm, mov -8(%\m), %e\d\()x
	I \role, mov32_mr, mov %e\s\()x, -8(%\m)
	I \role, add32_ri, add $-0x71, %e\d\()x
	I \role, and32_ri, and $0x7ffffff5, %e\d\()x
	I \role, xor32_rr, xor %e\s\()x, %e\d\()x
	I \role, cmp32_rr, cmp %e\s\()x, %e\d\()x
	I \role, cmp32_ri, cmp $0x7f, %e\d\()x
	I \role, cmp8_ri, cmp $0x41, %\d\()l
	I \role, cmp8_mi, cmpb $0x41, -8(%\m)
	I \role, test32_rr, test %e\s\()x, %e\d\()x
	I \role, test8_rr, test %\s\()l, %\d\()l
	I \role, test8_mi, testb $0x41, -8(%\m)
	I \role, movzx32_8_r, movzbl %\s\()l, %e\d\()x
	I \role, movzx32_8_m, movzbl -8(%\m), %e\d\()x
	I \role, movzx32_16_m, movzwl -8(%\m), %e\d\()x
	I \role, set2_r, setb %\d\()l
	.endm

	.macro narrow_all bits, si, di
	.code\bits
	narrow first\bits, a, b, \si
	I first\bits, mov32_ri, mov $0x9abcdef0, %ebx
	I first\bits, shr32_imm, shr $7, %ebx
	narrow second\bits, b, d, \di
	I second\bits, op_end
	I second\bits, op_jmp, jmp . + 0x60
	I second\bits, jcc2, jb . + 0x60
	I second\bits, jcc3, jae . + 0x60
	I second\bits, jcc4, je . + 0x60
	I second\bits, jcc5, jne . + 0x60
	I second\bits, jcc6, jbe . + 0x60
	I second\bits, jcc7, ja . + 0x60
	I second\bits, jcc8, js . + 0x60
	I second\bits, jcc9, jns . + 0x60
	I second\bits, jcc12, jl . + 0x60
	I second\bits, jcc13, jge . + 0x60
	I second\bits, jcc14, jle . + 0x60
	I second\bits, jcc15, jg . + 0x60
	.endm

	narrow_all 32, esi, edi
	narrow_all 16, si, di
	.section .note.GNU-stack, "", @progbits
