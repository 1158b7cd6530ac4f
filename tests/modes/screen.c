/*
 * A kernel with a screen and a keyboard: colours, pictures of control characters and a cursor, on a page of text memory
 * that is shown all at once; then each scan code that the keyboard's interrupt brings, until Q is released.
 */
#include "tests/modes/console.h"

#define TEXT   ((volatile uint16_t *)0xb8000)
#define PAGE   0x1000u /* cells */
#define LINE   80u
#define CRTC   0x3d4
#define VECTOR 0x21
#define KEY_Q  0x10
#define BREAK  0x80

static void out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void crtc(uint8_t index, uint8_t value)
{
	out(CRTC, index);
	out(CRTC + 1, value);
}

static void show(unsigned line, const char *text, uint8_t attribute)
{
	for (volatile uint16_t *cell = TEXT + PAGE + line * LINE; *text; text++)
		*cell++ = (uint16_t)(attribute << 8 | (uint8_t)*text);
}

/* Two digits in one store, so that nobody sees one without the other. */
static void show_code(uint8_t code)
{
	static unsigned at = PAGE + 4 * LINE;
	const char *digits = "0123456789abcdef";

	*(volatile uint32_t *)(TEXT + at) =
		(uint32_t)digits[code >> 4] | 0x0700u | (uint32_t)digits[code & 15] << 16 | 0x07000000u;
	at += 3;
}

__attribute__((used)) static void on_key(void)
{
	uint8_t code = in(X86_PORT_KBD_DATA);

	show_code(code);
	out(X86_PORT_PIC1, 0x20);
	if (code == (KEY_Q | BREAK))
		leave(0);
}

void key_entry(void);
__asm__("key_entry: pusha; cld; call on_key; popa; iret");

static struct {
	uint16_t low, selector, flags, high;
} idt[VECTOR + 1];

static void take_interrupts(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint32_t)(uintptr_t)idt};
	uint32_t entry = (uint32_t)(uintptr_t)key_entry;
	uint16_t cs;

	__asm__("mov %%cs, %0" : "=r"(cs));
	idt[VECTOR].low = (uint16_t)entry;
	idt[VECTOR].high = (uint16_t)(entry >> 16);
	idt[VECTOR].selector = cs;
	idt[VECTOR].flags = 0x8e00;
	__asm__ volatile("lidt %0" : : "m"(idtr));
	out(X86_PORT_PIC1, 0x11);
	out(X86_PORT_PIC1 + 1, VECTOR - 1);
	out(X86_PORT_PIC1 + 1, 0x04);
	out(X86_PORT_PIC1 + 1, 0x01);
	out(X86_PORT_PIC1 + 1, 0xfd);
	out(X86_PORT_KBD_COMMAND, 0x60);
	out(X86_PORT_KBD_DATA, 0x45);
	out(X86_PORT_KBD_DATA, 0xf4);
}

void report(uint32_t magic, uint32_t information)
{
	show(0, "plain", 0x07);
	show(1, "yellow on blue", 0x1e);
	show(2, "\xc9\xcd\xbb \x1b[31m\x07", 0x4f);
	show(3, "typed:", 0x70);
	crtc(10, 0x0d);
	crtc(14, PAGE >> 8);
	crtc(15, LINE * 3 + 7);
	print("on the serial line\n");
	take_interrupts();
	crtc(12, PAGE >> 8);
	for (;;)
		__asm__ volatile("sti; hlt");
}
