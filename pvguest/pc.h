/*
 * Registers of the PC devices that pv=off drives. Sources: Intel 8259A, 8254 and National PC16550D data sheets.
 */
#ifndef PVGUEST_PC_H
#define PVGUEST_PC_H

#include "hypercalls/x86.h"

/* 8259: command and data port; initialisation words and commands */
#define PIC_COMMAND	 0
#define PIC_DATA	 1
#define PIC_ICW1_INIT	 0x11 /* edge-triggered, cascade, ICW4 follows */
#define PIC_ICW3_MASTER	 0x04 /* the slave is on input 2 */
#define PIC_ICW3_SLAVE	 0x02
#define PIC_ICW4_8086	 0x01
#define PIC_EOI		 0x20
#define PIC_READ_ISR	 0x0b
#define PIC_LINES	 16
#define PIC_LINE_PIT	 0
#define PIC_LINE_CASCADE 2
#define PIC_LINE_COM1	 4

/* 8254: ports from X86_PORT_PIT; control words for channel 0, low byte then high byte */
#define PIT_CHANNEL0  0
#define PIT_CONTROL   3
#define PIT_ONE_SHOT  0x30 /* mode 0: interrupt on terminal count */
#define PIT_RATE      0x34 /* mode 2 */
#define PIT_LATCH     0x00
#define PIT_HZ	      1193182ull
#define PIT_COUNT_MAX 65535

/* 16550: ports from X86_PORT_COM1 */
#define UART_DATA	   0
#define UART_IER	   1
#define UART_FCR	   2
#define UART_MCR	   4
#define UART_LSR	   5
#define UART_MSR	   6
#define UART_IER_RECEIVED  0x01
#define UART_IER_MODEM	   0x08
#define UART_MSR_CARRIER   0x80
#define UART_FCR_ENABLE	   0x01
#define UART_MCR_OUT2	   0x08 /* gates the interrupt output on a PC */
#define UART_LSR_RECEIVED  0x01
#define UART_LSR_THR_EMPTY 0x20

#endif
