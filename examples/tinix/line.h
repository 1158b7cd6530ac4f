/*
 * A terminal's line discipline, apart from the terminal: from typed characters to what programs read, echo, and
 * signals; and from what programs write to what the terminal gets. termios(3) has the rules.
 */
#ifndef TINIX_LINE_H
#define TINIX_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/termbits.h>

#define LINE_SIZE 4096u

struct line {
	struct termios termios;
	/* Typed and not read: bytes, with LINE_* marks, at positions modulo LINE_SIZE. tail <= commit <= head. */
	uint16_t ring[LINE_SIZE];
	unsigned head, commit, tail; /* what lies between commit and head may still be erased */
	unsigned lines;		     /* ends of line between tail and commit */
	bool literal;		     /* the next character stands for itself */
	bool erasing;		     /* on paper: the closing slash is still to come */
	bool stopped;		     /* output, by the STOP character */
	bool ended;		     /* nothing more will be typed: reads of nothing are the end of file */
	unsigned column, start;	     /* where the cursor is, and was when the line began */
	void (*emit)(char c);
	void (*signal)(int signal);
};

/* As a terminal is found at boot. */
void line_init(struct line *line, void (*emit)(char c), void (*signal)(int signal));
/* One typed character. */
void line_input(struct line *line, unsigned char c);
/* What was typed is all that there is; an unfinished line is one. */
void line_end(struct line *line);
/* Room for more; without it, characters are better left where they come from. */
bool line_has_room(const struct line *line);
/* A read would get something, be it only the end of file. */
bool line_ready(const struct line *line);
/* Bytes that a read would get. */
size_t line_count(const struct line *line);
/* Takes bytes out: at most one line in canonical mode; 0 there is the end of file. Only if line_ready. */
size_t line_read(struct line *line, char *to, size_t size);
/* One written character. */
void line_output(struct line *line, char c);
void line_set(struct line *line, const struct termios *termios);
void line_flush_input(struct line *line);

#endif
