/*
 * The processor's own numbers, one home for monitor, shadow page tables and guests; usable from C and assembly.
 * Source: Intel SDM volume 3 (chapter named per group) and AMD APM volume 2.
 */
#ifndef R3_X86_H
#define R3_X86_H

#ifdef __ASSEMBLER__
#define R3_U64(x) x
#else
#define R3_U64(x) x##ULL
#endif
#define R3_BIT(n) (R3_U64(1) << (n))

/* Vectors: SDM 3A 6.15 */
#define X86_VEC_DE    0
#define X86_VEC_DB    1
#define X86_VEC_NMI   2
#define X86_VEC_BP    3
#define X86_VEC_OF    4
#define X86_VEC_BR    5
#define X86_VEC_UD    6
#define X86_VEC_NM    7
#define X86_VEC_DF    8
#define X86_VEC_TS    10
#define X86_VEC_NP    11
#define X86_VEC_SS    12
#define X86_VEC_GP    13
#define X86_VEC_PF    14
#define X86_VEC_MF    16
#define X86_VEC_AC    17
#define X86_VEC_MC    18
#define X86_VEC_XM    19
#define X86_VEC_CP    21
#define X86_VEC_COUNT 256

/* Page-fault error code: SDM 3A 4.7 */
#define X86_PF_P    R3_BIT(0)
#define X86_PF_W    R3_BIT(1)
#define X86_PF_U    R3_BIT(2)
#define X86_PF_RSVD R3_BIT(3)
#define X86_PF_I    R3_BIT(4)
#define X86_PF_PK   R3_BIT(5)

/* Selector error code: SDM 3A 6.13 */
#define X86_SELERR_EXT R3_BIT(0)
#define X86_SELERR_IDT R3_BIT(1)
#define X86_SELERR_TI  R3_BIT(2)
/* All of it: the upper half of the word is reserved */
#define X86_SELERR_MASK R3_U64(0xffff)

/* RFLAGS: SDM 1 3.4.3 */
#define X86_RFLAGS_CF	      R3_BIT(0)
#define X86_RFLAGS_FIXED      R3_BIT(1)
#define X86_RFLAGS_PF	      R3_BIT(2)
#define X86_RFLAGS_AF	      R3_BIT(4)
#define X86_RFLAGS_ZF	      R3_BIT(6)
#define X86_RFLAGS_SF	      R3_BIT(7)
#define X86_RFLAGS_TF	      R3_BIT(8)
#define X86_RFLAGS_IF	      R3_BIT(9)
#define X86_RFLAGS_DF	      R3_BIT(10)
#define X86_RFLAGS_OF	      R3_BIT(11)
#define X86_RFLAGS_IOPL_SHIFT 12
#define X86_RFLAGS_IOPL	      (R3_U64(3) << X86_RFLAGS_IOPL_SHIFT)
#define X86_RFLAGS_NT	      R3_BIT(14)
#define X86_RFLAGS_RF	      R3_BIT(16)
#define X86_RFLAGS_VM	      R3_BIT(17)
#define X86_RFLAGS_AC	      R3_BIT(18)
#define X86_RFLAGS_VIF	      R3_BIT(19)
#define X86_RFLAGS_VIP	      R3_BIT(20)
#define X86_RFLAGS_ID	      R3_BIT(21)

/* Control registers: SDM 3A 2.5 */
#define X86_CR0_PE R3_BIT(0)
#define X86_CR0_MP R3_BIT(1)
#define X86_CR0_EM R3_BIT(2)
#define X86_CR0_TS R3_BIT(3)
#define X86_CR0_ET R3_BIT(4)
#define X86_CR0_NE R3_BIT(5)
#define X86_CR0_WP R3_BIT(16)
#define X86_CR0_AM R3_BIT(18)
#define X86_CR0_NW R3_BIT(29)
#define X86_CR0_CD R3_BIT(30)
#define X86_CR0_PG R3_BIT(31)

#define X86_CR3_PWT R3_BIT(3)
#define X86_CR3_PCD R3_BIT(4)
/* Where PAE paging's table of four lies: SDM 3A table 4-7 */
#define X86_CR3_PAE_ADDR R3_U64(0xffffffe0)

#define X86_CR4_VME	   R3_BIT(0)
#define X86_CR4_PVI	   R3_BIT(1)
#define X86_CR4_TSD	   R3_BIT(2)
#define X86_CR4_DE	   R3_BIT(3)
#define X86_CR4_PSE	   R3_BIT(4)
#define X86_CR4_PAE	   R3_BIT(5)
#define X86_CR4_MCE	   R3_BIT(6)
#define X86_CR4_PGE	   R3_BIT(7)
#define X86_CR4_PCE	   R3_BIT(8)
#define X86_CR4_OSFXSR	   R3_BIT(9)
#define X86_CR4_OSXMMEXCPT R3_BIT(10)
#define X86_CR4_UMIP	   R3_BIT(11)
#define X86_CR4_LA57	   R3_BIT(12)
#define X86_CR4_VMXE	   R3_BIT(13)
#define X86_CR4_SMXE	   R3_BIT(14)
#define X86_CR4_FSGSBASE   R3_BIT(16)
#define X86_CR4_PCIDE	   R3_BIT(17)
#define X86_CR4_OSXSAVE	   R3_BIT(18)
#define X86_CR4_SMEP	   R3_BIT(20)
#define X86_CR4_SMAP	   R3_BIT(21)
#define X86_CR4_PKE	   R3_BIT(22)
#define X86_CR4_CET	   R3_BIT(23)
#define X86_CR4_PKS	   R3_BIT(24)
#define X86_CR4_UINTR	   R3_BIT(25)

#define X86_XCR0_X87 R3_BIT(0)
#define X86_XCR0_SSE R3_BIT(1)
#define X86_XCR0_AVX R3_BIT(2)
/* AVX-512 state: opmask, upper halves of ZMM0-15, ZMM16-31; all or none (SDM 1 13.3) */
#define X86_XCR0_AVX512 (R3_U64(7) << 5)
#define X86_XCR0_PKRU	R3_BIT(9)
#define X86_XCR0_AMX	(R3_U64(3) << 17)
/* What guests have of it. Code that runs directly sees the host's XCR0, which may have more. */
#define R3_GUEST_XCR0 (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX | X86_XCR0_AVX512)

/* x87 and SSE control words after reset: SDM 1 8.1.5, 10.2.3 */
#define X86_FCW_RESET	0x37f
#define X86_MXCSR_RESET 0x1f80

/* The XSAVE image: SDM 1 10.5.1, 13.4. MXCSR bit 6, DAZ, has every processor with AVX. */
#define X86_FPU_FCW	   0
#define X86_FCW_UM	   0x10u
#define X86_FCW_FIXED	   0xe0c0u /* bits that a program cannot choose */
#define X86_FCW_AS_FIXED   0x0040u
#define X86_FPU_FSW	   2
#define X86_FSW_EXCEPTIONS 0x3fu
#define X86_FSW_ES	   R3_BIT(7) /* an exception waits that is not masked */
#define X86_FSW_SUMMARY	   0x8080u   /* ES and B, which is the same */
#define X86_FSW_C0	   0x0100u
#define X86_FSW_C1	   0x0200u
#define X86_FSW_C2	   0x0400u
#define X86_FSW_C3	   0x4000u
#define X86_FSW_TOP_SHIFT  11
#define X86_FPU_FTW	   4 /* a bit each register, by its number, that is not empty */
#define X86_FPU_FOP	   6
#define X86_FPU_FOP_MASK   0x7ff
#define X86_FPU_FIP	   8
#define X86_FPU_FDP	   16
#define X86_FPU_MXCSR	   24
#define X86_FPU_MXCSR_MASK 28
#define X86_FPU_ST	   32
#define X86_FPU_ST_COUNT   8
#define X86_FPU_ST_SIZE	   10
#define X86_FPU_SLOT	   16 /* of each ST, and each XMM */
#define X86_FPU_XMM	   160
#define X86_FPU_XMM_SIZE   256 /* of all 16 */
#define X86_FPU_SOFTWARE   464
#define X86_FPU_HEADER	   512
#define X86_FPU_EXTENDED   576
#define X86_FPU_COMPACTED  R3_BIT(63) /* in XCOMP_BV, the header's second word */
#define X86_MXCSR_WRITABLE 0xffff
#define X86_MXCSR_FLAGS	   0x3f
#define X86_MXCSR_MASKS	   0x1f80u

/* SDM 2A 2.3.11 */
#define X86_INSN_MAX 15
/* Prefixes, SDM 2A 2.1.1. */
#define X86_PREFIX_REPNE 0xf2
#define X86_PREFIX_REP	 0xf3

/* Debug registers: SDM 3B 17.2 */
#define X86_DR6_FIXED	 R3_U64(0xffff0ff0)
#define X86_DR6_WRITABLE R3_U64(0xe00f)
#define X86_DR6_HITS	 R3_U64(0xf) /* B0 to B3 */
#define X86_DR6_BD	 R3_BIT(13)
#define X86_DR6_BS	 R3_BIT(14)
#define X86_DR6_BT	 R3_BIT(15) /* task switch */
#define X86_DR7_FIXED	 R3_U64(0x400)
#define X86_DR7_WRITABLE R3_U64(0xffff23ff)
#define X86_DR7_GD	 R3_BIT(13)
/* Of breakpoint n: its local enable bit, and its field of condition (2 bits) and length (2 bits). */
#define X86_DR7_L(n)	       R3_BIT(2 * (n))
#define X86_DR7_LE	       R3_BIT(8)
#define X86_DR7_ENABLED(n)     (R3_U64(3) << 2 * (n)) /* by L or by G */
#define X86_DR7_ALL_ENABLED    0xffu
#define X86_DR7_FIELD_SHIFT(n) (16 + 4 * (n))
#define X86_DR7_RW_EXECUTE     0
#define X86_DR7_RW_WRITE       1
#define X86_DR7_RW_ACCESS      3

/* Paging: SDM 3A 4.5 */
#define X86_PTE_P    R3_BIT(0)
#define X86_PTE_W    R3_BIT(1)
#define X86_PTE_U    R3_BIT(2)
#define X86_PTE_PWT  R3_BIT(3)
#define X86_PTE_PCD  R3_BIT(4)
#define X86_PTE_A    R3_BIT(5)
#define X86_PTE_D    R3_BIT(6)
#define X86_PTE_PS   R3_BIT(7)
#define X86_PTE_G    R3_BIT(8)
#define X86_PTE_NX   R3_BIT(63)
#define X86_PTE_ADDR R3_U64(0x000ffffffffff000)

/* Protection keys: the four bits of a page's entry, and the two bits that PKRU and IA32_PKRS have for each key. */
#define X86_PTE_KEY_SHIFT 59
#define X86_PTE_KEYS	  16
#define X86_KEY_AD	  1u /* no access to data */
#define X86_KEY_WD	  2u /* no writing */
#define X86_KEY_BITS	  2
#define X86_PAGE_SHIFT	  12
#define X86_PAGE_SIZE	  R3_BIT(X86_PAGE_SHIFT)
#define X86_PAGE_MASK	  (X86_PAGE_SIZE - 1)
#define X86_LARGE_SHIFT	  21
#define X86_HUGE_SHIFT	  30
#define X86_PT_ENTRIES	  512
#define X86_PT_LEVELS	  4

/* Model-specific registers: SDM 4 chapter 2, APM 2 appendix A */
#define X86_MSR_TSC	       0x10
#define X86_MSR_APIC_BASE      0x1b
#define X86_MSR_TSC_DEADLINE   0x6e0
#define X86_MSR_X2APIC_FIRST   0x800 /* a register each, by its offset in xAPIC mode / 16 */
#define X86_MSR_X2APIC_LAST    0x8ff
#define X86_MSR_X2APIC_EOI     (X86_MSR_X2APIC_FIRST + X86_APIC_EOI / 16)
#define X86_MSR_PATCH_LEVEL    0x8b
#define X86_MSR_CAPABILITIES   0x10a
#define X86_MSR_SYSENTER_CS    0x174
#define X86_MSR_SYSENTER_ESP   0x175
#define X86_MSR_SYSENTER_EIP   0x176
#define X86_MSR_MCG_CAP	       0x179
#define X86_MSR_MCG_STATUS     0x17a
#define X86_MSR_MISC_ENABLE    0x1a0
#define X86_MSR_MTRR_CAP       0xfe
#define X86_MSR_MTRR_FIRST     0x200 /* pairs of base and mask */
#define X86_MSR_MTRR_64K       0x250
#define X86_MSR_MTRR_16K       0x258 /* two */
#define X86_MSR_MTRR_4K	       0x268 /* eight */
#define X86_MSR_PAT	       0x277
#define X86_MSR_PKRS	       0x6e1
#define X86_MSR_MTRR_DEFAULT   0x2ff
#define X86_MSR_EFER	       0xc0000080
#define X86_MSR_STAR	       0xc0000081
#define X86_MSR_LSTAR	       0xc0000082
#define X86_MSR_CSTAR	       0xc0000083
#define X86_MSR_SFMASK	       0xc0000084
#define X86_MSR_FS_BASE	       0xc0000100
#define X86_MSR_GS_BASE	       0xc0000101
#define X86_MSR_KERNEL_GS_BASE 0xc0000102
#define X86_MSR_TSC_AUX	       0xc0000103
#define X86_MSR_K7_EVNTSEL0    0xc0010000
#define X86_MSR_K7_PERFCTR3    0xc0010007
#define X86_MSR_SYSCFG	       0xc0010010
#define X86_MSR_HWCR	       0xc0010015
#define X86_MSR_NB_CFG	       0xc001001f
#define X86_MSR_INT_PENDING    0xc0010055
#define X86_MSR_DE_CFG	       0xc0011029

/* Memory types, and what is on in the registers that give them to ranges: SDM 3A 11.11 */
#define X86_MEMORY_UC	      0u
#define X86_MEMORY_WP	      5u
#define X86_MEMORY_WB	      6u
#define X86_MTRR_VALID	      0x800u /* in a mask */
#define X86_MTRR_ENABLE	      0x800u /* in the default type */
#define X86_MTRR_ENABLE_FIXED 0x400u

/* STAR: selectors of SYSCALL in bits 47:32, of SYSRET in 63:48 (SDM 2B SYSCALL, SYSRET) */
#define X86_STAR_SYSCALL_SHIFT 32
#define X86_STAR_SYSRET_SHIFT  48
/* The RFLAGS bits that SYSRET takes from R11 */
#define X86_SYSRET_RFLAGS R3_U64(0x3c7fd7)

#define X86_EFER_SCE   R3_BIT(0)
#define X86_EFER_LME   R3_BIT(8)
#define X86_EFER_LMA   R3_BIT(10)
#define X86_EFER_NXE   R3_BIT(11)
#define X86_EFER_SVME  R3_BIT(12)
#define X86_EFER_FFXSR R3_BIT(14)
#define X86_EFER_TCE   R3_BIT(15)

#define X86_MCG_STATUS R3_U64(7) /* its bits */
/* SDM 4 table 2-2; the bits that can be set, and those that only tell: no branch trace store, no precise sampling. */
#define X86_MISC_LIMIT_CPUID R3_BIT(22)
#define X86_MISC_NO_NX	     R3_BIT(34)
#define X86_MISC_WRITABLE                                                                                              \
	(R3_BIT(0) | R3_BIT(3) | R3_BIT(16) | R3_BIT(18) | X86_MISC_LIMIT_CPUID | R3_BIT(23) | X86_MISC_NO_NX)
#define X86_MISC_CONSTANT (R3_BIT(7) | R3_BIT(11) | R3_BIT(12))
#define X86_MISC_RESET	  (R3_BIT(0) | R3_BIT(11) | R3_BIT(12))

/* HWCR: the TSC counts at a fixed rate; and all that software may set (APM 2, AMD's BKDGs) */
/* What a processor is free of: SDM 4 table 2-2, IA32_ARCH_CAPABILITIES */
#define X86_CAPABILITIES_RDCL_NO       R3_BIT(0) /* Meltdown */
#define X86_CAPABILITIES_L1TF_NO       R3_BIT(3)
#define X86_CAPABILITIES_MDS_NO	       R3_BIT(5)
#define X86_CAPABILITIES_TAA_NO	       R3_BIT(8)
#define X86_CAPABILITIES_STALE_DATA_NO (R3_BIT(13) | R3_BIT(14) | R3_BIT(15) | R3_BIT(27))
#define X86_HWCR_TSC_FIXED	       R3_BIT(24)
#define X86_HWCR		       (X86_HWCR_TSC_FIXED | R3_BIT(18) | R3_BIT(8) | R3_BIT(6) | R3_BIT(3))
#define X86_DE_CFG_LFENCE	       R3_BIT(1) /* LFENCE waits for what stands before it */

#define X86_APIC_BASE_BSP    R3_BIT(8)
#define X86_APIC_BASE_X2APIC R3_BIT(10)
#define X86_APIC_BASE_ENABLE R3_BIT(11)
#define X86_APIC_BASE_RESET  R3_U64(0xfee00000)
/* Offsets of registers, SDM 3A table 10-1 */
#define X86_APIC_ID  0x20
#define X86_APIC_EOI 0xb0

#define X86_PAT_RESET R3_U64(0x0007040600070406)

/* Selectors, descriptors and gates: SDM 3A 3.4, 3.5, 6.14 */
#define X86_SEL_RPL   3
#define X86_SEL_TI    4
#define X86_SEL_INDEX 0xfff8

#define X86_DESC_TYPE_SHIFT  40
#define X86_DESC_ACCESSED    R3_BIT(40)
#define X86_DESC_RW	     R3_BIT(41)
#define X86_DESC_CONFORMING  R3_BIT(42)
#define X86_DESC_EXPAND_DOWN X86_DESC_CONFORMING /* of data */
#define X86_DESC_CODE	     R3_BIT(43)
#define X86_DESC_S	     R3_BIT(44)
#define X86_DESC_DPL_SHIFT   45
#define X86_DESC_P	     R3_BIT(47)
#define X86_DESC_L	     R3_BIT(53)
#define X86_DESC_DB	     R3_BIT(54)
#define X86_DESC_G	     R3_BIT(55)

#define X86_SYSTYPE_LDT	      2
#define X86_GATE_TASK	      5
#define X86_SYSTYPE_TSS_AVAIL 9
#define X86_SYSTYPE_TSS_BUSY  11
#define X86_GATE_CALL	      12
#define X86_GATE_INTERRUPT    14
#define X86_GATE_TRAP	      15
/* Those of 16 bits are the same without this bit. */
#define X86_SYSTYPE_32 8

/* In the upper half of a system descriptor in long mode what lies where its type would be is zero (SDM
 * 3A 5.8.3.1, 7.2.3) */
#define X86_DESC_UPPER_TYPE (R3_U64(0x1f00) << 32)

#define X86_DESC_SIZE 8
#define X86_GATE_SIZE 16

/* 64-bit task-state segment: SDM 3A 7.7 */
#define X86_TSS_RSP0  4
#define X86_TSS_SS0   8 /* of 32 bits; its ESP0 is where RSP0 is */
#define X86_TSS_IST1  36
#define X86_TSS_IOMAP 102
#define X86_TSS_SIZE  104

/* CPUID leaf 1 and leaf 7, ECX: SDM 2A CPUID */
#define X86_CPUID_1_C_HYPERVISOR R3_BIT(31)
#define X86_CPUID_7_C_UMIP	 R3_BIT(2)
#define X86_CPUID_7_C_OSPKE	 R3_BIT(4)

/* I/O ports of a PC */
#define X86_PORT_DMA1	     0x00
#define X86_PORT_PIC1	     0x20
#define X86_PORT_PIT	     0x40
#define X86_PORT_KBD_DATA    0x60
#define X86_PORT_SYSB	     0x61
#define X86_PORT_KBD_COMMAND 0x64
#define X86_PORT_RTC	     0x70
#define X86_PORT_POST	     0x80
#define X86_PORT_DMA_PAGE    0x81
#define X86_PORT_SYSA	     0x92
#define X86_PORT_PIC2	     0xa0
#define X86_PORT_DMA2	     0xc0
#define X86_PORT_DEBUGCON    0xe9
#define X86_PORT_EXIT	     0xf4
#define X86_PORT_VGA	     0x3c0
#define X86_PORT_FLOPPY	     0x3f0
#define X86_PORT_COM1	     0x3f8
#define X86_PORT_ELCR	     0x4d0
#define X86_PORT_PANIC	     0x505 /* QEMU's pvpanic, docs/specs/pvpanic.rst */
#define X86_PORT_PANIC_TEXT  0x506 /* ours: before the event, why, byte by byte */
#define X86_PORT_PCI	     0xcf8

/* Events of X86_PORT_PANIC: reading gives those that are known. */
#define X86_PANIC_PANICKED 1

#endif
