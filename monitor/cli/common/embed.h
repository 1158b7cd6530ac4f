/*
 * Files of the source tree, or of the host, as part of the program: EMBED(symbol, "file") makes the bytes from `symbol`
 * to `symbol_end`, with a terminating zero there. The assembler looks for the file where -Wa,-I says; the build has to
 * know that the object depends on it (OBJECT_DEPENDS).
 */
#ifndef MONITOR_CLI_EMBED_H
#define MONITOR_CLI_EMBED_H

#define EMBED(symbol, file)                                                                                            \
	__asm__(".pushsection .rodata\n" #symbol ":\n"                                                                 \
		".incbin \"" file "\"\n" #symbol "_end:\n"                                                             \
		".byte 0\n"                                                                                            \
		".popsection\n");                                                                                      \
	extern const char symbol[] __attribute__((visibility("hidden"))),                                              \
		symbol##_end[] __attribute__((visibility("hidden")))

#endif
