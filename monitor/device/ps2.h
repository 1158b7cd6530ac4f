/*
 * What keyboard and mouse have in common: commands, and answers (IBM PS/2 Hardware Interface Technical Reference).
 */
#ifndef MONITOR_DEVICE_PS2_H
#define MONITOR_DEVICE_PS2_H

enum ps2_command {
	PS2_IDENTIFY = 0xf2,
	PS2_SET_RATE = 0xf3,
	PS2_ENABLE = 0xf4,
	PS2_DISABLE = 0xf5,
	PS2_SET_DEFAULTS = 0xf6,
	PS2_RESEND = 0xfe,
	PS2_RESET = 0xff,
};

#define PS2_ACK	      0xfa
#define PS2_AGAIN     0xfe /* that was no command */
#define PS2_TEST_DONE 0xaa

#endif
