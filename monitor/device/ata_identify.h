/*
 * What an ATA disk says of itself.
 */
#ifndef MONITOR_DEVICE_ATA_IDENTIFY_H
#define MONITOR_DEVICE_ATA_IDENTIFY_H

#include <stdint.h>

/* The geometry that a disk has unless it is told another. */
#define ATA_HEADS	      16
#define ATA_SECTORS_PER_TRACK 63

/* Writes the 512 bytes of IDENTIFY DEVICE. */
void ata_identify(uint8_t *to, uint32_t sectors, unsigned number, unsigned multiple, unsigned heads,
		  unsigned per_track);

/* Those of IDENTIFY PACKET DEVICE, of a CD-ROM drive. */
void atapi_identify(uint8_t *to);

#endif
