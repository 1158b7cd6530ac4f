/*
 * Where each protocol enters the report, in flat 32-bit mode with paging off: headers of the protocol that the build
 * names, and report(EAX, EBX or ESI) on a stack of its own.
 */
#if defined(MULTIBOOT)
#define MAGIC 0x1badb002
#ifdef ADDRESSES /* the file is flat: the header says where it goes */
#define FLAGS 0x10003
#else
#define FLAGS 3
#endif
	.section .header, "a"
	.balign	4
header:
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)
	.long	header, image_start, image_end, bss_end, start
#elif defined(MULTIBOOT2)
#define MAGIC 0xe85250d6
	.section .header, "a"
	.balign	8
header:
	.long	MAGIC, 0, header_end - header, -(MAGIC + (header_end - header))
	.short	1, 0			/* an information request: command line, memory map */
	.long	16, 1, 6
	.short	3, 0			/* another entry than the file's */
	.long	12, start, 0
	.short	0, 0
	.long	8
header_end:
#elif defined(PVH)
	.section .note, "a", @note
	.long	4, 4, 18
	.asciz	"Xen"
	.long	start
#elif defined(LINUX)
	.section .setup, "a"		/* two sectors, which a loader reads and does not load */
	.org	0x1f1
	.byte	1			/* setup_sects */
	.org	0x1fe
	.short	0xaa55
	.byte	0xeb, 0x66		/* the header ends at 0x268 */
	.ascii	"HdrS"
	.short	0x20f			/* version */
	.org	0x211
	.byte	1			/* loadflags: above 1 MiB */
	.org	0x214
	.long	0x100000		/* code32_start */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.org	0x238
	.long	100			/* cmdline_size */
	.org	0x258
	.quad	0x100000		/* pref_address */
	.long	0x100000		/* init_size */
	.org	0x400
#endif

#define STACK_ROOM 0x4000

	.section .start, "ax"
	.code32
	.globl	start
start:
#ifdef LINUX
	mov	%esi, %ebx
	xor	%eax, %eax
#endif
	/* The stack that was found: what is pushed there comes back. */
	push	%ebx
	sub	$STACK_ROOM - 8, %esp
	push	%ebx
	pop	%ebx
	add	$STACK_ROOM - 8, %esp
	pop	%ebx
#if defined(MULTIBOOT2) || defined(PVH)
	jmp	1f
	/* The entry that the ELF header names. */
	.globl	wrong
wrong:	mov	$101, %al
	out	%al, $0xf4
1:
#endif
	mov	$stack_top, %esp
	pushl	$0
	popfl
	push	%ebx
	push	%eax
	call	report
	mov	$100, %al
	out	%al, $0xf4
	hlt

	.bss
	.balign	16
	.skip	8192
stack_top:
	.section .note.GNU-stack, "", @progbits
