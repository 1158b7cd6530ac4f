/*
 * The guests as a table: rates are those between two looks.
 */
#include <stdarg.h>
#include <string.h>

#include "monitor/cli/top/internal.h"
#include "monitor/host/clock.h"

/* One line of the table, cut to the terminal's width. */
struct line {
	FILE *out;
	unsigned left; /* lines that may still follow */
	unsigned columns;
};

static void put_line(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_line(struct line *line, const char *format, ...)
{
	char text[512];
	va_list args;

	if (!line->left)
		return;
	line->left--;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(line->out, "%.*s\n", (int)line->columns, text);
}

/* Three digits and a suffix: 1234567 becomes "1.23M". */
static const char *short_number(double value, double thousand, char text[16])
{
	static const char suffixes[] = " kMGTP";
	unsigned suffix = 0;

	while (value >= thousand && suffixes[suffix + 1]) {
		value /= thousand;
		suffix++;
	}
	snprintf(text, 16, "%.*f%.*s",
		 !suffix || value >= 100 ? 0
		 : value >= 10		 ? 1
					 : 2,
		 value, suffix > 0, suffixes + suffix);
	return text;
}

static const struct top_guest *find(const struct top_view *view, pid_t pid)
{
	for (unsigned i = 0; view && i < view->count; i++)
		if (view->guest[i].pid == pid)
			return &view->guest[i];
	return NULL;
}

/* The growth of a counter in the seconds between the looks, a second; 0 after a new process took the number. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

static void put_guest(struct line *line, const struct top_guest *now, const struct top_guest *before, double seconds)
{
	char exits[16], ram[16], touched[16], shadowed[16], kept[16];
	double ns = CLOCK_NS_PER_SEC / 100;

	if (!now->answered) {
		put_line(line, "%7d %5.0f%%  stopped, or too busy to answer", now->pid,
			 rate(now->cpu_ns, before->cpu_ns, seconds) / ns);
		return;
	}
	put_line(line, "%7d %5.0f%% %5.0f%% %5.0f%% %8s %7s %7s %8s %7s %7.1f %-9s %s", now->pid,
		 rate(now->cpu_ns, before->cpu_ns, seconds) / ns, rate(now->guest_ns, before->guest_ns, seconds) / ns,
		 rate(now->monitor_ns, before->monitor_ns, seconds) / ns,
		 short_number(rate(now->exits_total, before->exits_total, seconds), 1000, exits),
		 short_number((double)now->touched, 1024, touched), short_number((double)now->ram, 1024, ram),
		 short_number((double)now->shadowed, 1024, shadowed), short_number((double)now->kept, 1024, kept),
		 (double)now->wall_ns / CLOCK_NS_PER_SEC, now->engine, now->image);
}

/* Exits a second by reason, the most frequent first. */
static void put_reasons(struct line *line, const struct top_guest *now, const struct top_guest *before, double seconds)
{
	double rates[STAT_COUNT];
	char text[400] = "";
	size_t len = 0;

	for (unsigned kind = 0; kind < STAT_COUNT; kind++)
		rates[kind] = rate(now->exits[kind], before->exits[kind], seconds);
	for (unsigned turn = 0; turn < STAT_COUNT; turn++) {
		unsigned most = 0;
		char count[16];

		for (unsigned kind = 1; kind < STAT_COUNT; kind++)
			if (rates[kind] > rates[most])
				most = kind;
		if (rates[most] <= 0)
			break;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "  %s %s", stats_exit_names[most],
					short_number(rates[most], 1000, count));
		rates[most] = 0;
	}
	if (len)
		put_line(line, "%7s%s", "", text);
}

void top_table(const struct top_view *now, const struct top_view *before, unsigned lines, unsigned columns, FILE *out)
{
	static const struct top_guest none;
	struct line line = {.out = out, .left = lines, .columns = columns};

	put_line(&line, "%7s %6s %6s %6s %8s %7s %7s %8s %7s %7s %-9s %s", "PID", "CPU", "GUEST", "MON", "EXITS/s",
		 "TOUCHED", "RAM", "SHADOWED", "KEPT", "SECONDS", "ENGINE", "IMAGE");
	for (unsigned i = 0; i < now->count; i++) {
		const struct top_guest *guest = &now->guest[i], *then = find(before, guest->pid);
		/* Without a look before, it is what happened since the guest started. */
		bool fresh = !then || (guest->answered && !then->answered) || then->wall_ns > guest->wall_ns;
		double seconds = fresh ? (double)guest->wall_ns / CLOCK_NS_PER_SEC
				       : (double)(guest->asked_ns - then->asked_ns) / CLOCK_NS_PER_SEC;

		put_guest(&line, guest, fresh ? &none : then, seconds);
		if (guest->answered)
			put_reasons(&line, guest, fresh ? &none : then, seconds);
	}
	if (!now->count)
		put_line(&line, "%7s no guest runs for this user", "");
}
