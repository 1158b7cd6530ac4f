/*
 * The instructions that the interpreter is compared with the processor on: one a line, in a table of where each begins,
 * where it ends, and its text. R15 and R12 point into the data page, R12 aligned; R14 is a small index; RSI and RDI
 * point there where a string instruction wants it.
 */
	.macro I text:vararg
	.section .rodata.insns.code, "a", @progbits
771:	\text
772:
	.section .rodata.insns.text, "a", @progbits
773:	.asciz "\text"
	.section .data.rel.ro.insns.table, "aw", @progbits
	.quad 771b, 772b, 773b
	.endm

	.section .data.rel.ro.insns.table, "aw", @progbits
	.globl interpret_insns, interpret_insns_end
interpret_insns:
	/* arithmetic and logic */
	I addb %bl, %al
	I addb %r8b, %sil
	I addb 5(%r15), %r13b
	I addb %dl, (%r15,%r14,4)
	I addb $-5, %cl
	I addb $0x71, (%r15)
	I addw %bx, %ax
	I addw %r8w, %si
	I addw 5(%r15), %r13w
	I addw %dx, (%r15,%r14,4)
	I addw $-5, %cx
	I addw $0x71, (%r15)
	I addw $0x1234, %r8w
	I addl %ebx, %eax
	I addl %r8d, %esi
	I addl 5(%r15), %r13d
	I addl %edx, (%r15,%r14,4)
	I addl $-5, %ecx
	I addl $0x71, (%r15)
	I addl $0x12345678, %r8d
	I addq %rbx, %rax
	I addq %r8, %rsi
	I addq 5(%r15), %r13
	I addq %rdx, (%r15,%r14,4)
	I addq $-5, %rcx
	I addq $0x71, (%r15)
	I addq $-0x12345678, %r8
	I addb %ah, %bl
	I addb %cl, %dh
	I lock addq %rdx, (%r15)
	I orb %bl, %al
	I orb %r8b, %sil
	I orb 5(%r15), %r13b
	I orb %dl, (%r15,%r14,4)
	I orb $-5, %cl
	I orb $0x71, (%r15)
	I orw %bx, %ax
	I orw %r8w, %si
	I orw 5(%r15), %r13w
	I orw %dx, (%r15,%r14,4)
	I orw $-5, %cx
	I orw $0x71, (%r15)
	I orw $0x1234, %r8w
	I orl %ebx, %eax
	I orl %r8d, %esi
	I orl 5(%r15), %r13d
	I orl %edx, (%r15,%r14,4)
	I orl $-5, %ecx
	I orl $0x71, (%r15)
	I orl $0x12345678, %r8d
	I orq %rbx, %rax
	I orq %r8, %rsi
	I orq 5(%r15), %r13
	I orq %rdx, (%r15,%r14,4)
	I orq $-5, %rcx
	I orq $0x71, (%r15)
	I orq $-0x12345678, %r8
	I orb %ah, %bl
	I orb %cl, %dh
	I lock orq %rdx, (%r15)
	I adcb %bl, %al
	I adcb %r8b, %sil
	I adcb 5(%r15), %r13b
	I adcb %dl, (%r15,%r14,4)
	I adcb $-5, %cl
	I adcb $0x71, (%r15)
	I adcw %bx, %ax
	I adcw %r8w, %si
	I adcw 5(%r15), %r13w
	I adcw %dx, (%r15,%r14,4)
	I adcw $-5, %cx
	I adcw $0x71, (%r15)
	I adcw $0x1234, %r8w
	I adcl %ebx, %eax
	I adcl %r8d, %esi
	I adcl 5(%r15), %r13d
	I adcl %edx, (%r15,%r14,4)
	I adcl $-5, %ecx
	I adcl $0x71, (%r15)
	I adcl $0x12345678, %r8d
	I adcq %rbx, %rax
	I adcq %r8, %rsi
	I adcq 5(%r15), %r13
	I adcq %rdx, (%r15,%r14,4)
	I adcq $-5, %rcx
	I adcq $0x71, (%r15)
	I adcq $-0x12345678, %r8
	I adcb %ah, %bl
	I adcb %cl, %dh
	I lock adcq %rdx, (%r15)
	I sbbb %bl, %al
	I sbbb %r8b, %sil
	I sbbb 5(%r15), %r13b
	I sbbb %dl, (%r15,%r14,4)
	I sbbb $-5, %cl
	I sbbb $0x71, (%r15)
	I sbbw %bx, %ax
	I sbbw %r8w, %si
	I sbbw 5(%r15), %r13w
	I sbbw %dx, (%r15,%r14,4)
	I sbbw $-5, %cx
	I sbbw $0x71, (%r15)
	I sbbw $0x1234, %r8w
	I sbbl %ebx, %eax
	I sbbl %r8d, %esi
	I sbbl 5(%r15), %r13d
	I sbbl %edx, (%r15,%r14,4)
	I sbbl $-5, %ecx
	I sbbl $0x71, (%r15)
	I sbbl $0x12345678, %r8d
	I sbbq %rbx, %rax
	I sbbq %r8, %rsi
	I sbbq 5(%r15), %r13
	I sbbq %rdx, (%r15,%r14,4)
	I sbbq $-5, %rcx
	I sbbq $0x71, (%r15)
	I sbbq $-0x12345678, %r8
	I sbbb %ah, %bl
	I sbbb %cl, %dh
	I lock sbbq %rdx, (%r15)
	I andb %bl, %al
	I andb %r8b, %sil
	I andb 5(%r15), %r13b
	I andb %dl, (%r15,%r14,4)
	I andb $-5, %cl
	I andb $0x71, (%r15)
	I andw %bx, %ax
	I andw %r8w, %si
	I andw 5(%r15), %r13w
	I andw %dx, (%r15,%r14,4)
	I andw $-5, %cx
	I andw $0x71, (%r15)
	I andw $0x1234, %r8w
	I andl %ebx, %eax
	I andl %r8d, %esi
	I andl 5(%r15), %r13d
	I andl %edx, (%r15,%r14,4)
	I andl $-5, %ecx
	I andl $0x71, (%r15)
	I andl $0x12345678, %r8d
	I andq %rbx, %rax
	I andq %r8, %rsi
	I andq 5(%r15), %r13
	I andq %rdx, (%r15,%r14,4)
	I andq $-5, %rcx
	I andq $0x71, (%r15)
	I andq $-0x12345678, %r8
	I andb %ah, %bl
	I andb %cl, %dh
	I lock andq %rdx, (%r15)
	I subb %bl, %al
	I subb %r8b, %sil
	I subb 5(%r15), %r13b
	I subb %dl, (%r15,%r14,4)
	I subb $-5, %cl
	I subb $0x71, (%r15)
	I subw %bx, %ax
	I subw %r8w, %si
	I subw 5(%r15), %r13w
	I subw %dx, (%r15,%r14,4)
	I subw $-5, %cx
	I subw $0x71, (%r15)
	I subw $0x1234, %r8w
	I subl %ebx, %eax
	I subl %r8d, %esi
	I subl 5(%r15), %r13d
	I subl %edx, (%r15,%r14,4)
	I subl $-5, %ecx
	I subl $0x71, (%r15)
	I subl $0x12345678, %r8d
	I subq %rbx, %rax
	I subq %r8, %rsi
	I subq 5(%r15), %r13
	I subq %rdx, (%r15,%r14,4)
	I subq $-5, %rcx
	I subq $0x71, (%r15)
	I subq $-0x12345678, %r8
	I subb %ah, %bl
	I subb %cl, %dh
	I lock subq %rdx, (%r15)
	I xorb %bl, %al
	I xorb %r8b, %sil
	I xorb 5(%r15), %r13b
	I xorb %dl, (%r15,%r14,4)
	I xorb $-5, %cl
	I xorb $0x71, (%r15)
	I xorw %bx, %ax
	I xorw %r8w, %si
	I xorw 5(%r15), %r13w
	I xorw %dx, (%r15,%r14,4)
	I xorw $-5, %cx
	I xorw $0x71, (%r15)
	I xorw $0x1234, %r8w
	I xorl %ebx, %eax
	I xorl %r8d, %esi
	I xorl 5(%r15), %r13d
	I xorl %edx, (%r15,%r14,4)
	I xorl $-5, %ecx
	I xorl $0x71, (%r15)
	I xorl $0x12345678, %r8d
	I xorq %rbx, %rax
	I xorq %r8, %rsi
	I xorq 5(%r15), %r13
	I xorq %rdx, (%r15,%r14,4)
	I xorq $-5, %rcx
	I xorq $0x71, (%r15)
	I xorq $-0x12345678, %r8
	I xorb %ah, %bl
	I xorb %cl, %dh
	I lock xorq %rdx, (%r15)
	I cmpb %bl, %al
	I cmpb %r8b, %sil
	I cmpb 5(%r15), %r13b
	I cmpb %dl, (%r15,%r14,4)
	I cmpb $-5, %cl
	I cmpb $0x71, (%r15)
	I cmpw %bx, %ax
	I cmpw %r8w, %si
	I cmpw 5(%r15), %r13w
	I cmpw %dx, (%r15,%r14,4)
	I cmpw $-5, %cx
	I cmpw $0x71, (%r15)
	I cmpw $0x1234, %r8w
	I cmpl %ebx, %eax
	I cmpl %r8d, %esi
	I cmpl 5(%r15), %r13d
	I cmpl %edx, (%r15,%r14,4)
	I cmpl $-5, %ecx
	I cmpl $0x71, (%r15)
	I cmpl $0x12345678, %r8d
	I cmpq %rbx, %rax
	I cmpq %r8, %rsi
	I cmpq 5(%r15), %r13
	I cmpq %rdx, (%r15,%r14,4)
	I cmpq $-5, %rcx
	I cmpq $0x71, (%r15)
	I cmpq $-0x12345678, %r8
	I cmpb %ah, %bl
	I cmpb %cl, %dh
	I testb %bl, %al
	I testb %r8b, -8(%r15,%r14)
	I testb $0x55, %r13b
	I testb $0x2a, 5(%r15)
	I incb %sil
	I incb (%r15,%r14,4)
	I decb %sil
	I decb (%r15,%r14,4)
	I negb %sil
	I negb (%r15,%r14,4)
	I notb %sil
	I notb (%r15,%r14,4)
	I mulb %bl
	I mulb (%r15)
	I imulb %bl
	I imulb (%r15)
	I divb %bl
	I divb (%r15)
	I idivb %bl
	I idivb (%r15)
	I shlb $1, %al
	I shlb $3, %al
	I shlb $31, %al
	I shlb $33, %al
	I shlb %cl, %al
	I shlb %cl, 5(%r15)
	I shlb $5, (%r15)
	I shrb $1, %al
	I shrb $3, %al
	I shrb $31, %al
	I shrb $33, %al
	I shrb %cl, %al
	I shrb %cl, 5(%r15)
	I shrb $5, (%r15)
	I sarb $1, %al
	I sarb $3, %al
	I sarb $31, %al
	I sarb $33, %al
	I sarb %cl, %al
	I sarb %cl, 5(%r15)
	I sarb $5, (%r15)
	I rolb $1, %al
	I rolb $3, %al
	I rolb $31, %al
	I rolb $33, %al
	I rolb %cl, %al
	I rolb %cl, 5(%r15)
	I rolb $5, (%r15)
	I rorb $1, %al
	I rorb $3, %al
	I rorb $31, %al
	I rorb $33, %al
	I rorb %cl, %al
	I rorb %cl, 5(%r15)
	I rorb $5, (%r15)
	I rclb $1, %al
	I rclb $3, %al
	I rclb $31, %al
	I rclb $33, %al
	I rclb %cl, %al
	I rclb %cl, 5(%r15)
	I rclb $5, (%r15)
	I rcrb $1, %al
	I rcrb $3, %al
	I rcrb $31, %al
	I rcrb $33, %al
	I rcrb %cl, %al
	I rcrb %cl, 5(%r15)
	I rcrb $5, (%r15)
	I xchgb %al, %r8b
	I xchgb %dl, 5(%r15)
	I xaddb %al, %r8b
	I lock xaddb %dl, 5(%r15)
	I cmpxchgb %bl, %r8b
	I lock cmpxchgb %dl, 5(%r15)
	I movb %bl, %r8b
	I movb (%r15,%r14,4), %sil
	I movb %r13b, -8(%r15,%r14)
	I movb $0x77, %cl
	I movb $-3, (%r15)
	I testw %bx, %ax
	I testw %r8w, -8(%r15,%r14)
	I testw $0x55, %r13w
	I testw $0x2a, 5(%r15)
	I incw %si
	I incw (%r15,%r14,4)
	I decw %si
	I decw (%r15,%r14,4)
	I negw %si
	I negw (%r15,%r14,4)
	I notw %si
	I notw (%r15,%r14,4)
	I mulw %bx
	I mulw (%r15)
	I imulw %bx
	I imulw (%r15)
	I divw %bx
	I divw (%r15)
	I idivw %bx
	I idivw (%r15)
	I shlw $1, %ax
	I shlw $3, %ax
	I shlw $31, %ax
	I shlw $33, %ax
	I shlw %cl, %ax
	I shlw %cl, 5(%r15)
	I shlw $5, (%r15)
	I shrw $1, %ax
	I shrw $3, %ax
	I shrw $31, %ax
	I shrw $33, %ax
	I shrw %cl, %ax
	I shrw %cl, 5(%r15)
	I shrw $5, (%r15)
	I sarw $1, %ax
	I sarw $3, %ax
	I sarw $31, %ax
	I sarw $33, %ax
	I sarw %cl, %ax
	I sarw %cl, 5(%r15)
	I sarw $5, (%r15)
	I rolw $1, %ax
	I rolw $3, %ax
	I rolw $31, %ax
	I rolw $33, %ax
	I rolw %cl, %ax
	I rolw %cl, 5(%r15)
	I rolw $5, (%r15)
	I rorw $1, %ax
	I rorw $3, %ax
	I rorw $31, %ax
	I rorw $33, %ax
	I rorw %cl, %ax
	I rorw %cl, 5(%r15)
	I rorw $5, (%r15)
	I rclw $1, %ax
	I rclw $3, %ax
	I rclw $31, %ax
	I rclw $33, %ax
	I rclw %cl, %ax
	I rclw %cl, 5(%r15)
	I rclw $5, (%r15)
	I rcrw $1, %ax
	I rcrw $3, %ax
	I rcrw $31, %ax
	I rcrw $33, %ax
	I rcrw %cl, %ax
	I rcrw %cl, 5(%r15)
	I rcrw $5, (%r15)
	I xchgw %ax, %r8w
	I xchgw %dx, 5(%r15)
	I xaddw %ax, %r8w
	I lock xaddw %dx, 5(%r15)
	I cmpxchgw %bx, %r8w
	I lock cmpxchgw %dx, 5(%r15)
	I movw %bx, %r8w
	I movw (%r15,%r14,4), %si
	I movw %r13w, -8(%r15,%r14)
	I movw $0x77, %cx
	I movw $-3, (%r15)
	I shldw $7, %bx, %ax
	I shldw %cl, %bx, %ax
	I shldw $9, %dx, (%r15)
	I shrdw $7, %bx, %ax
	I shrdw %cl, %bx, %ax
	I shrdw $9, %dx, (%r15)
	I imulw %bx, %ax
	I imulw 5(%r15), %r8w
	I imulw $-7, %dx, %r8w
	I imulw $0x1234, (%r15), %r13w
	I btw %bx, %ax
	I btw $5, %ax
	I btw $11, 5(%r15)
	I btw %ax, (%r15)
	I btsw %bx, %ax
	I btsw $5, %ax
	I btsw $11, 5(%r15)
	I btsw %ax, (%r15)
	I btrw %bx, %ax
	I btrw $5, %ax
	I btrw $11, 5(%r15)
	I btrw %ax, (%r15)
	I btcw %bx, %ax
	I btcw $5, %ax
	I btcw $11, 5(%r15)
	I btcw %ax, (%r15)
	I bsfw %bx, %ax
	I bsfw (%r15), %r8w
	I bsrw %bx, %ax
	I bsrw (%r15), %r8w
	I tzcntw %bx, %ax
	I tzcntw (%r15), %r8w
	I lzcntw %bx, %ax
	I lzcntw (%r15), %r8w
	I popcntw %bx, %ax
	I popcntw (%r15), %r8w
	I movbew (%r15), %r8w
	I movbew %dx, 5(%r15)
	I testl %ebx, %eax
	I testl %r8d, -8(%r15,%r14)
	I testl $0x55, %r13d
	I testl $0x2a, 5(%r15)
	I incl %esi
	I incl (%r15,%r14,4)
	I decl %esi
	I decl (%r15,%r14,4)
	I negl %esi
	I negl (%r15,%r14,4)
	I notl %esi
	I notl (%r15,%r14,4)
	I mull %ebx
	I mull (%r15)
	I imull %ebx
	I imull (%r15)
	I divl %ebx
	I divl (%r15)
	I idivl %ebx
	I idivl (%r15)
	I shll $1, %eax
	I shll $3, %eax
	I shll $31, %eax
	I shll $33, %eax
	I shll %cl, %eax
	I shll %cl, 5(%r15)
	I shll $5, (%r15)
	I shrl $1, %eax
	I shrl $3, %eax
	I shrl $31, %eax
	I shrl $33, %eax
	I shrl %cl, %eax
	I shrl %cl, 5(%r15)
	I shrl $5, (%r15)
	I sarl $1, %eax
	I sarl $3, %eax
	I sarl $31, %eax
	I sarl $33, %eax
	I sarl %cl, %eax
	I sarl %cl, 5(%r15)
	I sarl $5, (%r15)
	I roll $1, %eax
	I roll $3, %eax
	I roll $31, %eax
	I roll $33, %eax
	I roll %cl, %eax
	I roll %cl, 5(%r15)
	I roll $5, (%r15)
	I rorl $1, %eax
	I rorl $3, %eax
	I rorl $31, %eax
	I rorl $33, %eax
	I rorl %cl, %eax
	I rorl %cl, 5(%r15)
	I rorl $5, (%r15)
	I rcll $1, %eax
	I rcll $3, %eax
	I rcll $31, %eax
	I rcll $33, %eax
	I rcll %cl, %eax
	I rcll %cl, 5(%r15)
	I rcll $5, (%r15)
	I rcrl $1, %eax
	I rcrl $3, %eax
	I rcrl $31, %eax
	I rcrl $33, %eax
	I rcrl %cl, %eax
	I rcrl %cl, 5(%r15)
	I rcrl $5, (%r15)
	I xchgl %eax, %r8d
	I xchgl %edx, 5(%r15)
	I xaddl %eax, %r8d
	I lock xaddl %edx, 5(%r15)
	I cmpxchgl %ebx, %r8d
	I lock cmpxchgl %edx, 5(%r15)
	I movl %ebx, %r8d
	I movl (%r15,%r14,4), %esi
	I movl %r13d, -8(%r15,%r14)
	I movl $0x77, %ecx
	I movl $-3, (%r15)
	I shldl $7, %ebx, %eax
	I shldl %cl, %ebx, %eax
	I shldl $9, %edx, (%r15)
	I shrdl $7, %ebx, %eax
	I shrdl %cl, %ebx, %eax
	I shrdl $9, %edx, (%r15)
	I imull %ebx, %eax
	I imull 5(%r15), %r8d
	I imull $-7, %edx, %r8d
	I imull $0x1234, (%r15), %r13d
	I btl %ebx, %eax
	I btl $5, %eax
	I btl $11, 5(%r15)
	I btl %eax, (%r15)
	I btsl %ebx, %eax
	I btsl $5, %eax
	I btsl $11, 5(%r15)
	I btsl %eax, (%r15)
	I btrl %ebx, %eax
	I btrl $5, %eax
	I btrl $11, 5(%r15)
	I btrl %eax, (%r15)
	I btcl %ebx, %eax
	I btcl $5, %eax
	I btcl $11, 5(%r15)
	I btcl %eax, (%r15)
	I bsfl %ebx, %eax
	I bsfl (%r15), %r8d
	I bsrl %ebx, %eax
	I bsrl (%r15), %r8d
	I tzcntl %ebx, %eax
	I tzcntl (%r15), %r8d
	I lzcntl %ebx, %eax
	I lzcntl (%r15), %r8d
	I popcntl %ebx, %eax
	I popcntl (%r15), %r8d
	I movbel (%r15), %r8d
	I movbel %edx, 5(%r15)
	I testq %rbx, %rax
	I testq %r8, -8(%r15,%r14)
	I testq $0x55, %r13
	I testq $0x2a, 5(%r15)
	I incq %rsi
	I incq (%r15,%r14,4)
	I decq %rsi
	I decq (%r15,%r14,4)
	I negq %rsi
	I negq (%r15,%r14,4)
	I notq %rsi
	I notq (%r15,%r14,4)
	I mulq %rbx
	I mulq (%r15)
	I imulq %rbx
	I imulq (%r15)
	I divq %rbx
	I divq (%r15)
	I idivq %rbx
	I idivq (%r15)
	I shlq $1, %rax
	I shlq $3, %rax
	I shlq $31, %rax
	I shlq $33, %rax
	I shlq %cl, %rax
	I shlq %cl, 5(%r15)
	I shlq $5, (%r15)
	I shrq $1, %rax
	I shrq $3, %rax
	I shrq $31, %rax
	I shrq $33, %rax
	I shrq %cl, %rax
	I shrq %cl, 5(%r15)
	I shrq $5, (%r15)
	I sarq $1, %rax
	I sarq $3, %rax
	I sarq $31, %rax
	I sarq $33, %rax
	I sarq %cl, %rax
	I sarq %cl, 5(%r15)
	I sarq $5, (%r15)
	I rolq $1, %rax
	I rolq $3, %rax
	I rolq $31, %rax
	I rolq $33, %rax
	I rolq %cl, %rax
	I rolq %cl, 5(%r15)
	I rolq $5, (%r15)
	I rorq $1, %rax
	I rorq $3, %rax
	I rorq $31, %rax
	I rorq $33, %rax
	I rorq %cl, %rax
	I rorq %cl, 5(%r15)
	I rorq $5, (%r15)
	I rclq $1, %rax
	I rclq $3, %rax
	I rclq $31, %rax
	I rclq $33, %rax
	I rclq %cl, %rax
	I rclq %cl, 5(%r15)
	I rclq $5, (%r15)
	I rcrq $1, %rax
	I rcrq $3, %rax
	I rcrq $31, %rax
	I rcrq $33, %rax
	I rcrq %cl, %rax
	I rcrq %cl, 5(%r15)
	I rcrq $5, (%r15)
	I xchgq %rax, %r8
	I xchgq %rdx, 5(%r15)
	I xaddq %rax, %r8
	I lock xaddq %rdx, 5(%r15)
	I cmpxchgq %rbx, %r8
	I lock cmpxchgq %rdx, 5(%r15)
	I movq %rbx, %r8
	I movq (%r15,%r14,4), %rsi
	I movq %r13, -8(%r15,%r14)
	I movq $0x77, %rcx
	I movq $-3, (%r15)
	I shldq $7, %rbx, %rax
	I shldq %cl, %rbx, %rax
	I shldq $9, %rdx, (%r15)
	I shrdq $7, %rbx, %rax
	I shrdq %cl, %rbx, %rax
	I shrdq $9, %rdx, (%r15)
	I imulq %rbx, %rax
	I imulq 5(%r15), %r8
	I imulq $-7, %rdx, %r8
	I imulq $0x1234, (%r15), %r13
	I btq %rbx, %rax
	I btq $5, %rax
	I btq $11, 5(%r15)
	I btq %rax, (%r15)
	I btsq %rbx, %rax
	I btsq $5, %rax
	I btsq $11, 5(%r15)
	I btsq %rax, (%r15)
	I btrq %rbx, %rax
	I btrq $5, %rax
	I btrq $11, 5(%r15)
	I btrq %rax, (%r15)
	I btcq %rbx, %rax
	I btcq $5, %rax
	I btcq $11, 5(%r15)
	I btcq %rax, (%r15)
	I bsfq %rbx, %rax
	I bsfq (%r15), %r8
	I bsrq %rbx, %rax
	I bsrq (%r15), %r8
	I tzcntq %rbx, %rax
	I tzcntq (%r15), %r8
	I lzcntq %rbx, %rax
	I lzcntq (%r15), %r8
	I popcntq %rbx, %rax
	I popcntq (%r15), %r8
	I movbeq (%r15), %r8
	I movbeq %rdx, 5(%r15)
	I movabsq $0x123456789abcdef0, %r9
	I movzbw %al, %bx
	I movzbl 5(%r15), %ecx
	I movzbl %ah, %ecx
	I movzbq %sil, %r9
	I movzwl %ax, %r8d
	I movzwq (%r15), %r8
	I movsbw %bl, %ax
	I movsbl (%r15), %edx
	I movsbq %cl, %r11
	I movswl %dx, %ecx
	I movswq 5(%r15), %rcx
	I movslq %ebx, %rax
	I movslq (%r15), %r8
	I leaq 8(%rax,%rbx,8), %rcx
	I leal (%rax,%rbx,2), %ecx
	I leaw 3(%rax), %cx
	I leaq (,%r14,8), %r9
	I leal 5(%eax,%ebx), %r9d
	I bswapl %eax
	I bswapq %r9
	I cbtw
	I cwtl
	I cltq
	I cwtd
	I cltd
	I cqto
	I clc
	I stc
	I cmc
	I lahf
	I sahf
	I nop
	I pause
	I endbr64
	I nopw 8(%rax,%rax)
	I movl (%r15d), %eax
	I addl %ecx, 4(%r15d,%r14d)
	/* conditions */
	I seto %al
	I seto (%r15)
	I cmovow %ax, %bx
	I cmovol %eax, %r9d
	I cmovoq 5(%r15), %rcx
	I setno %al
	I setno (%r15)
	I cmovnow %ax, %bx
	I cmovnol %eax, %r9d
	I cmovnoq 5(%r15), %rcx
	I setb %al
	I setb (%r15)
	I cmovbw %ax, %bx
	I cmovbl %eax, %r9d
	I cmovbq 5(%r15), %rcx
	I setnb %al
	I setnb (%r15)
	I cmovnbw %ax, %bx
	I cmovnbl %eax, %r9d
	I cmovnbq 5(%r15), %rcx
	I setz %al
	I setz (%r15)
	I cmovzw %ax, %bx
	I cmovzl %eax, %r9d
	I cmovzq 5(%r15), %rcx
	I setnz %al
	I setnz (%r15)
	I cmovnzw %ax, %bx
	I cmovnzl %eax, %r9d
	I cmovnzq 5(%r15), %rcx
	I setbe %al
	I setbe (%r15)
	I cmovbew %ax, %bx
	I cmovbel %eax, %r9d
	I cmovbeq 5(%r15), %rcx
	I setnbe %al
	I setnbe (%r15)
	I cmovnbew %ax, %bx
	I cmovnbel %eax, %r9d
	I cmovnbeq 5(%r15), %rcx
	I sets %al
	I sets (%r15)
	I cmovsw %ax, %bx
	I cmovsl %eax, %r9d
	I cmovsq 5(%r15), %rcx
	I setns %al
	I setns (%r15)
	I cmovnsw %ax, %bx
	I cmovnsl %eax, %r9d
	I cmovnsq 5(%r15), %rcx
	I setp %al
	I setp (%r15)
	I cmovpw %ax, %bx
	I cmovpl %eax, %r9d
	I cmovpq 5(%r15), %rcx
	I setnp %al
	I setnp (%r15)
	I cmovnpw %ax, %bx
	I cmovnpl %eax, %r9d
	I cmovnpq 5(%r15), %rcx
	I setl %al
	I setl (%r15)
	I cmovlw %ax, %bx
	I cmovll %eax, %r9d
	I cmovlq 5(%r15), %rcx
	I setnl %al
	I setnl (%r15)
	I cmovnlw %ax, %bx
	I cmovnll %eax, %r9d
	I cmovnlq 5(%r15), %rcx
	I setle %al
	I setle (%r15)
	I cmovlew %ax, %bx
	I cmovlel %eax, %r9d
	I cmovleq 5(%r15), %rcx
	I setnle %al
	I setnle (%r15)
	I cmovnlew %ax, %bx
	I cmovnlel %eax, %r9d
	I cmovnleq 5(%r15), %rcx
	/* BMI, ADX, CRC32 */
	I andnl %eax, %ebx, %r8d
	I andnl 5(%r15), %ebx, %r8d
	I bextrl %eax, %ebx, %r8d
	I bextrl %eax, (%r15,%r14,4), %r8d
	I bzhil %eax, %ebx, %r8d
	I bzhil %eax, (%r15,%r14,4), %r8d
	I pdepl %eax, %ebx, %r8d
	I pdepl 5(%r15), %ebx, %r8d
	I pextl %eax, %ebx, %r8d
	I pextl 5(%r15), %ebx, %r8d
	I sarxl %eax, %ebx, %r8d
	I sarxl %eax, (%r15,%r14,4), %r8d
	I shlxl %eax, %ebx, %r8d
	I shlxl %eax, (%r15,%r14,4), %r8d
	I shrxl %eax, %ebx, %r8d
	I shrxl %eax, (%r15,%r14,4), %r8d
	I mulxl %eax, %ebx, %r8d
	I mulxl 5(%r15), %ebx, %r8d
	I rorxl $9, %eax, %r8d
	I rorxl $3, (%r15), %r8d
	I blsrl %eax, %r8d
	I blsrl (%r15), %r8d
	I blsil %eax, %r8d
	I blsil (%r15), %r8d
	I blsmskl %eax, %r8d
	I blsmskl (%r15), %r8d
	I adcxl %eax, %r8d
	I adoxl (%r15), %r8d
	I crc32l %eax, %r8d
	I crc32l (%r15), %r8d
	I andnq %rax, %rbx, %r8
	I andnq 5(%r15), %rbx, %r8
	I bextrq %rax, %rbx, %r8
	I bextrq %rax, (%r15,%r14,4), %r8
	I bzhiq %rax, %rbx, %r8
	I bzhiq %rax, (%r15,%r14,4), %r8
	I pdepq %rax, %rbx, %r8
	I pdepq 5(%r15), %rbx, %r8
	I pextq %rax, %rbx, %r8
	I pextq 5(%r15), %rbx, %r8
	I sarxq %rax, %rbx, %r8
	I sarxq %rax, (%r15,%r14,4), %r8
	I shlxq %rax, %rbx, %r8
	I shlxq %rax, (%r15,%r14,4), %r8
	I shrxq %rax, %rbx, %r8
	I shrxq %rax, (%r15,%r14,4), %r8
	I mulxq %rax, %rbx, %r8
	I mulxq 5(%r15), %rbx, %r8
	I rorxq $9, %rax, %r8
	I rorxq $3, (%r15), %r8
	I blsrq %rax, %r8
	I blsrq (%r15), %r8
	I blsiq %rax, %r8
	I blsiq (%r15), %r8
	I blsmskq %rax, %r8
	I blsmskq (%r15), %r8
	I adcxq %rax, %r8
	I adoxq (%r15), %r8
	I crc32q %rax, %r8
	I crc32q (%r15), %r8
	I crc32b %al, %r9d
	I crc32w 5(%r15), %r9d
	I cmpxchg8b (%r15)
	I cmpxchg16b (%r12)
	I lock cmpxchg16b (%r12)
	/* strings */
	I stosb
	I rep stosb
	I movsb
	I rep movsb
	I lodsb
	I rep lodsb
	I scasb
	I repe scasb
	I repne scasb
	I cmpsb
	I repe cmpsb
	I repne cmpsb
	I stosw
	I rep stosw
	I movsw
	I rep movsw
	I lodsw
	I rep lodsw
	I scasw
	I repe scasw
	I repne scasw
	I cmpsw
	I repe cmpsw
	I repne cmpsw
	I stosl
	I rep stosl
	I movsl
	I rep movsl
	I lodsl
	I rep lodsl
	I scasl
	I repe scasl
	I repne scasl
	I cmpsl
	I repe cmpsl
	I repne cmpsl
	I stosq
	I rep stosq
	I movsq
	I rep movsq
	I lodsq
	I rep lodsq
	I scasq
	I repe scasq
	I repne scasq
	I cmpsq
	I repe cmpsq
	I repne cmpsq
	/* x87 and SSE */
	I fldpi
	I fldl (%r15)
	I flds 4(%r15)
	I fildq (%r15)
	I fistpl 8(%r15)
	I fstpt (%r12)
	I fldcw (%r15)
	I fnstcw (%r15)
	I fnstsw %ax
	I fnstsw (%r15)
	I fninit
	I fld1
	I fnop
	I wait
	I fxsave (%r12)
	I fxsave64 (%r12)
	I fnstenv (%r12)
	I fnsave (%r12)
	I movaps %xmm1, %xmm2
	I movaps (%r12), %xmm3
	I movaps %xmm9, 16(%r12)
	I movups (%r15), %xmm1
	I movups %xmm1, 5(%r15,%r14,4)
	I movdqu 5(%r15), %xmm8
	I movdqa %xmm8, (%r12)
	I movd %eax, %xmm3
	I movq %xmm3, %r9
	I movq (%r15), %xmm1
	I movq %xmm2, (%r15)
	I movss (%r15), %xmm1
	I movsd 4(%r15), %xmm1
	I movsd %xmm2, (%r15)
	I movhps (%r15), %xmm1
	I movlpd %xmm1, (%r15)
	I movhlps %xmm1, %xmm2
	I paddb %xmm1, %xmm2
	I paddq (%r12), %xmm2
	I pxor %xmm3, %xmm3
	I pcmpeqb %xmm1, %xmm2
	I pcmpeqb (%r12), %xmm2
	I pmovmskb %xmm2, %eax
	I pminub %xmm3, %xmm4
	I pshufd $0x1b, %xmm1, %xmm2
	I pshufb %xmm1, %xmm2
	I pshufb (%r12), %xmm2
	I phaddw %xmm1, %xmm2
	I phaddd %xmm2, %xmm3
	I phaddsw %xmm3, %xmm4
	I phsubw %xmm1, %xmm5
	I phsubd %xmm2, %xmm6
	I phsubsw %xmm3, %xmm2
	I pmaddubsw %xmm1, %xmm3
	I pmulhrsw %xmm2, %xmm4
	I psignb %xmm3, %xmm5
	I psignw %xmm1, %xmm6
	I psignd %xmm2, %xmm2
	I pabsb %xmm3, %xmm3
	I pabsw %xmm1, %xmm4
	I pabsd %xmm2, %xmm5
	I punpcklbw %xmm1, %xmm2
	I psrldq $3, %xmm1
	I pslldq $5, %xmm9
	I palignr $5, %xmm1, %xmm2
	I pcmpistri $0x1a, (%r15), %xmm1
	I pcmpestri $0, %xmm1, %xmm2
	I ptest %xmm1, %xmm2
	I pinsrw $3, %eax, %xmm1
	I pextrw $2, %xmm1, %ecx
	I pextrb $2, %xmm1, (%r15)
	I pinsrq $1, (%r15), %xmm4
	I addps %xmm1, %xmm2
	I mulsd (%r15), %xmm2
	I divss %xmm1, %xmm2
	I sqrtpd %xmm1, %xmm2
	I cvtsi2sdq %rax, %xmm1
	I cvtsi2ssl (%r15), %xmm1
	I cvttsd2siq %xmm1, %rax
	I cvtpd2ps %xmm1, %xmm2
	I comisd %xmm1, %xmm2
	I ucomiss (%r15), %xmm2
	I andps %xmm1, %xmm2
	I shufps $7, %xmm1, %xmm2
	I stmxcsr (%r15)
	I aesenc %xmm1, %xmm2
	I pclmulqdq $1, %xmm1, %xmm2
	I sha1rnds4 $1, %xmm1, %xmm2
	I movmskps %xmm1, %eax
	I movnti %rax, (%r15)
	I movntdq %xmm1, (%r12)
	I lddqu (%r15), %xmm3
	I movq %mm1, %mm2
	I paddw (%r15), %mm1
	I emms
	I vmovdqu (%r15), %ymm1
	I vmovdqu %ymm2, 5(%r15)
	I vmovdqa (%r12), %ymm1
	I vpcmpeqb (%r15), %ymm1, %ymm2
	I vpmovmskb %ymm2, %eax
	I vpxor %xmm1, %xmm2, %xmm3
	I vpminub (%r15,%r14,4), %ymm1, %ymm12
	I vpbroadcastb %xmm1, %ymm2
	I vbroadcastss (%r15), %ymm2
	I vfmadd231sd %xmm1, %xmm2, %xmm3
	I vzeroupper
	I vextracti128 $1, %ymm2, (%r15)
	I vpor (%r15), %ymm9, %ymm10
	I vpshufb %xmm1, %xmm2, %xmm3
	I vpshufb %ymm1, %ymm2, %ymm3
	I vptest %ymm1, %ymm2
	I vmovdqu64 (%r15), %zmm1
	I vmovdqu64 0x40(%r15), %zmm17
	I vmovdqu8 0x20(%r15), %ymm18
	I vpcmpeqb 0x20(%r15), %ymm17, %k1
	I vpcmpneqb (%r15), %ymm17, %k3
	I vpcmpub $0, %ymm1, %ymm17, %k0
	I kmovd %k1, %eax
	I kmovq %rax, %k2
	I kortestd %k1, %k2
	I kunpckdq %k1, %k2, %k3
	I vptestnmb %ymm17, %ymm18, %k1
	I vpbroadcastb %eax, %ymm16
	I vpminub 0x60(%r15), %ymm17, %ymm18
	I vpternlogd $0x11, %ymm1, %ymm17, %ymm18
	I vmovdqu8 (%r15), %ymm3{%k1}{z}
	I vmovdqu8 %ymm3, 1(%r15){%k1}
	I vpaddd 4(%r15){1to8}, %ymm1, %ymm17
	I vpcmpltub 0x40(%r15), %zmm2, %k5{%k1}
	I vmovdqa64 %zmm3, (%r12)
	I vmovdqu64 %zmm1, -0x40(%r15)
	I vpxorq %zmm1,%zmm1,%zmm1
	I vpcmpeqb -0x20(%r15), %ymm16, %k0
	I kmovb %k1, (%r15)
	I korq %k1,%k2,%k3
	I ktestd %k1, %k2
	I vprord $7, %ymm1, %ymm2
	I vprord $0, %ymm3, %ymm3
	I vprord $0x2c, 4(%r15), %ymm9
	I vprold $25, (%r15), %xmm3
	I vprord $16, %ymm1, %ymm2{%k1}
	I vprord $16, (%r15){1to8}, %ymm1
	I vprord $16, %zmm1, %zmm2
	I vprold $3, %xmm17, %xmm2
	I vpermi2d %ymm1, %ymm2, %ymm3
	I vpermi2d %ymm3, %ymm3, %ymm3
	I vpermi2d 5(%r15), %ymm2, %ymm15
	I vpermi2d (%r15), %xmm2, %xmm4
	I vpermi2d %ymm1, %ymm17, %ymm3
	I vpermi2d %ymm1, %ymm2, %ymm3{%k2}{z}
	I vextracti128 $0, %ymm2, %xmm2
	I vextracti128 $1, %ymm2, %xmm7
	I vextractf128 $1, %ymm9, 3(%r15)
	I ldmxcsr (%r12)
	I ldmxcsr 5(%r15)
	.section .data.rel.ro.insns.table, "aw", @progbits
interpret_insns_end:
	.section .note.GNU-stack, "", @progbits
