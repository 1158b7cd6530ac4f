/*
 * Frames of guest RAM: who maps one writable, and the locks (a protected table, a watch) that keep it from being
 * written unseen.
 */
#include "shadowpt/internal.h"

static struct region *region_at(struct spt *spt, unsigned level, uint64_t gpa)
{
	return &(level == LEVEL_BIG ? spt->big : spt->huge)[gpa >> level_shift(level)];
}

struct spte **spt_frame_writers(struct spt *spt, unsigned level, uint64_t gpa)
{
	return level == LEVEL_PAGE ? &spt_frame(spt, gpa)->writers : &region_at(spt, level, gpa)->writers;
}

uint32_t *spt_frame_writer_count(struct spt *spt, unsigned level, uint64_t gpa)
{
	return level == LEVEL_PAGE ? &spt_frame(spt, gpa)->writer_count : &region_at(spt, level, gpa)->writer_count;
}

bool spt_frame_is_writable(struct spt *spt, uint64_t gpa)
{
	for (unsigned level = LEVEL_PAGE; level <= LEVEL_HUGE; level++)
		if (*spt_frame_writers(spt, level, gpa))
			return true;
	return false;
}

bool spt_frames_locked(struct spt *spt, unsigned level, uint64_t gpa)
{
	return level == LEVEL_PAGE ? spt_frame(spt, gpa)->locks : region_at(spt, level, gpa)->locked;
}

void spt_frame_lock(struct spt *spt, uint64_t gpa)
{
	if (spt_frame(spt, gpa)->locks++)
		return;
	spt->lock[spt->locks++ % SPT_LOCKS_KEPT] = gpa;
	region_at(spt, LEVEL_BIG, gpa)->locked++;
	region_at(spt, LEVEL_HUGE, gpa)->locked++;
	spt_frame_write_protect(spt, gpa);
}

/* Sptes stay read-only until somebody writes. */
void spt_frame_unlock(struct spt *spt, uint64_t gpa)
{
	if (--spt_frame(spt, gpa)->locks)
		return;
	region_at(spt, LEVEL_BIG, gpa)->locked--;
	region_at(spt, LEVEL_HUGE, gpa)->locked--;
}

void spt_frame_changed(struct spt *spt, uint64_t gpa)
{
	struct frame *frame = spt_frame(spt, gpa);

	if (!frame->watched)
		return;
	frame->watched = false;
	spt_frame_unlock(spt, gpa);
	for (unsigned who = 0; who < SPT_WATCHERS; who++)
		if (spt->written[who])
			spt->written[who](spt->ctx, gpa & ~X86_PAGE_MASK);
}

void spt_frame_written(struct spt *spt, uint64_t gpa)
{
	struct frame *frame = spt_frame(spt, gpa);

	spt_frame_changed(spt, gpa);
	if (frame->table && !frame->table->unsync)
		spt_table_written(spt, frame->table);
}

/* Leaps over 2 MiB without a locked frame: the range may be a whole image. */
void spt_note_write(struct spt *spt, uint64_t gpa, uint64_t len)
{
	uint64_t end = len < spt->config.ram_size - gpa ? gpa + len : spt->config.ram_size, size;

	for (; spt_in_ram(spt, gpa) && gpa < end; gpa = (gpa & ~(size - 1)) + size) {
		size = spt_frames_locked(spt, LEVEL_BIG, gpa) ? X86_PAGE_SIZE : level_size(LEVEL_BIG);
		if (size == X86_PAGE_SIZE)
			spt_frame_written(spt, gpa);
	}
}

int spt_watch(struct spt *spt, uint64_t gpa)
{
	if (spt_in_ram(spt, gpa) && !spt_frame(spt, gpa)->watched) {
		spt_frame(spt, gpa)->watched = true;
		spt_frame_lock(spt, gpa);
	}
	return spt_settle(spt, NULL);
}

void spt_unwatch(struct spt *spt, uint64_t gpa)
{
	if (spt_in_ram(spt, gpa) && spt_frame(spt, gpa)->watched) {
		spt_frame(spt, gpa)->watched = false;
		spt_frame_unlock(spt, gpa);
	}
}

void spt_set_written(struct spt *spt, enum spt_watcher who, void (*written)(void *ctx, uint64_t gpa))
{
	spt->written[who] = written;
}
