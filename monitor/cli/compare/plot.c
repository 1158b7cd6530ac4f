/*
 * What `ring3 compare` found, drawn by gnuplot as SVG: wall time and exits of each run, on logarithmic scales.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/compare/internal.h"
#include "monitor/host/output_file.h"

bool compare_can_plot(void)
{
	const char *path = getenv("PATH");
	char *list = strdup(path ? path : ""), *rest = NULL, file[4096];
	bool found = false;
	for (char *dir = list ? strtok_r(list, ":", &rest) : NULL; dir && !found; dir = strtok_r(NULL, ":", &rest)) {
		snprintf(file, sizeof(file), "%s/gnuplot", dir);
		found = access(file, X_OK) == 0;
	}
	free(list);
	if (!found)
		fprintf(stderr, "ring3: --svg needs gnuplot, which is not in PATH: install Debian's gnuplot-nox\n");
	return found;
}

/* What gnuplot reads between $data << end and end: number, name, ms, exits. */
static void print_data(const struct compare *compare, FILE *script)
{
	fprintf(script, "$data << end\n");
	for (unsigned n = 0, row = 0; n < compare->count; n++) {
		const struct compare_run *run = &compare->run[n];
		if (run->done)
			fprintf(script, "%u \"%s\" %f %" PRIu64 "\n", row++, run->name, (double)run->wall_ns / 1e6,
				run->exits_total);
	}
	fprintf(script, "end\n");
}

static void print_script(const struct compare *compare, FILE *script)
{
	print_data(compare, script);
	fprintf(script,
		"set terminal svg size 900,480 font 'sans,11' background rgb 'white'\n"
		"set style fill solid 0.7\n"
		"set logscale x\n"
		"set grid x\n"
		"set yrange [%u.5:-0.5]\n"
		"set ytics nomirror\n"
		"set xtics nomirror rotate by -45\n"
		"unset key\n"
		"set multiplot layout 1,2\n"
		"set xlabel 'wall time, ms'\n"
		"plot $data using (0.01):1:(0.01):3:($1-0.35):($1+0.35):yticlabels(2) with boxxyerror lc rgb "
		"'#3060a0'\n"
		"set xlabel 'exits'\n"
		"plot $data using (0.5):1:(0.5):($4+0.5):($1-0.35):($1+0.35):yticlabels(2) with boxxyerror lc rgb "
		"'#a06030'\n"
		"unset multiplot\n",
		compare->count ? compare->count - 1 : 0);
}

/* gnuplot reads the script from its standard input and draws to its standard output. */
static int draw(FILE *script, int out)
{
	int status = 0;
	fflush(script);
	rewind(script);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fileno(script), STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		execlp("gnuplot", "gnuplot", (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? -errno : status ? -EIO : 0;
}

int compare_write_svg(const struct compare *compare, const char *path)
{
	struct output_file file;
	FILE *script = tmpfile();
	int error = script ? output_open(&file, path) : -errno;
	if (!error) {
		print_script(compare, script);
		error = output_finish(&file, draw(script, file.fd));
	}
	if (script)
		fclose(script);
	if (error)
		fprintf(stderr, "ring3: --svg %s: cannot draw: %s\n", path, strerror(-error));
	return error;
}
