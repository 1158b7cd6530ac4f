#include "monitor/vm/cpu_model.h"

#include <string.h>

#define MODEL_HOST "host"

/* What every model may show: it tells of the machine, not of the processor's age. */
static const uint8_t of_any[] = {CPU_hypervisor, CPU_constant_tsc, CPU_lfence_rdtsc, CPU_null_sel_clr_base};

#define F(feature)				       CPU_##feature,
#define CPU_MODEL(id, name, before, summary, features) static const uint8_t id##_features[] = {features};
#include "monitor/vm/models.def"
#undef CPU_MODEL

enum {
#define CPU_MODEL(id, name, before, summary, features) MODEL_##id,
#include "monitor/vm/models.def"
#undef CPU_MODEL
	MODEL_COUNT
};

static const struct model {
	const char *name;
	const struct model *before;
	const char *summary;
	const uint8_t *features;
	size_t count;
} models[MODEL_COUNT] = {
#define CPU_MODEL(id, name, before, summary, features) {name, before, summary, id##_features, sizeof(id##_features)},
#include "monitor/vm/models.def"
#undef CPU_MODEL
};

static const struct model *find_model(const char *name, size_t len)
{
	for (unsigned n = 0; n < MODEL_COUNT; n++)
		if (strlen(models[n].name) == len && !strncmp(models[n].name, name, len))
			return &models[n];
	return NULL;
}

static bool find_feature(const char *name, size_t len, unsigned *feature)
{
	for (*feature = 0; *feature < CPU_FEATURE_COUNT; ++*feature)
		if (strlen(cpu_feature_name(*feature)) == len && !strncmp(cpu_feature_name(*feature), name, len))
			return true;
	return false;
}

static void apply(const struct model *model, struct cpu_model *to)
{
	for (unsigned n = 0; n < CPU_FEATURE_COUNT; n++)
		to->wish[n] = CPU_WITHOUT;
	for (size_t n = 0; n < sizeof(of_any); n++)
		to->wish[of_any[n]] = CPU_ANY;
	for (; model; model = model->before)
		for (size_t n = 0; n < model->count; n++)
			to->wish[model->features[n]] = cpu_feature_is_hosts(model->features[n]) ? CPU_WANTED : CPU_ANY;
}

/* Vendors by the names that CPUID has for them. */
static bool parse_vendor(const char *text, size_t len, struct cpu_model *model)
{
	static const struct {
		const char *word;
		enum cpu_vendor vendor;
	} vendors[] = {{"vendor=AuthenticAMD", CPU_VENDOR_AMD}, {"vendor=GenuineIntel", CPU_VENDOR_INTEL}};
	for (size_t n = 0; n < sizeof(vendors) / sizeof(vendors[0]); n++) {
		if (strlen(vendors[n].word) != len || strncmp(text, vendors[n].word, len) != 0)
			continue;
		model->vendor = vendors[n].vendor;
		model->chosen = true;
		return true;
	}
	return false;
}

static bool parse_feature(const char *text, size_t len, struct cpu_model *model, char *wrong, size_t size)
{
	unsigned feature;
	if (len < 2 || (*text != '+' && *text != '-') || !find_feature(text + 1, len - 1, &feature)) {
		snprintf(wrong, size, "'%.*s' is no +FEATURE, -FEATURE or vendor of those that '--cpu help' lists",
			 (int)len, text);
		return false;
	}
	model->wish[feature] = *text == '+' ? CPU_WANTED : CPU_WITHOUT;
	model->chosen = true;
	return true;
}

bool cpu_model_parse(const char *text, struct cpu_model *to, char *wrong, size_t size)
{
	size_t len = strcspn(text, ",");
	const struct model *model = find_model(text, len);
	*to = (struct cpu_model){.chosen = model != NULL};
	if (model) {
		apply(model, to);
	} else if (len != strlen(MODEL_HOST) || strncmp(text, MODEL_HOST, len) != 0) {
		int used = snprintf(wrong, size, "there is no model '%.*s': choose from " MODEL_HOST, (int)len, text);
		for (unsigned n = 0; n < MODEL_COUNT && used < (int)size; n++)
			used += snprintf(wrong + used, size - (size_t)used, " %s", models[n].name);
		return false;
	}
	for (text += len; *text; text += len) {
		len = strcspn(++text, ",");
		if (!parse_vendor(text, len, to) && !parse_feature(text, len, to, wrong, size))
			return false;
	}
	return true;
}

void cpu_model_list(FILE *out)
{
	unsigned column = 0;
	fputs("Models:\n", out);
	fprintf(out, "  %-10s what the host has and the engine gives (the default)\n", MODEL_HOST);
	for (unsigned n = 0; n < MODEL_COUNT; n++)
		fprintf(out, "  %-10s %s%s%s\n", models[n].name, models[n].before ? models[n].before->name : "",
			models[n].before ? ", and " : "", models[n].summary);
	fputs("\nVendors, another than the host's: ,vendor=AuthenticAMD or ,vendor=GenuineIntel\n", out);
	fputs("\nFeatures, to be added by ,+FEATURE or taken away by ,-FEATURE, where host and engine give them:\n",
	      out);
	for (unsigned n = 0; n < CPU_FEATURE_COUNT; n++) {
		const char *name = cpu_feature_name(n);
		if (!cpu_feature_is_given(n))
			continue;
		if (column + strlen(name) + 1 > 76)
			column = (unsigned)(fputc('\n', out), 0);
		column += (unsigned)fprintf(out, "%s%s", column ? " " : "  ", name);
	}
	fputc('\n', out);
}
