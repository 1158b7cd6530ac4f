/*
 * From the entry point to main() and back: boot information, command line, the choice between hypercalls and privileged
 * instructions, and the order in which everything is set up.
 */
#include "pvguest/bare.h"
#include "pvguest/internal.h"

#define OPTION_MAX 8
/* What pv=on cannot do without. */
#define FEATURES_NEEDED                                                                                                \
	(R3_FEATURE_VIF | R3_FEATURE_CLOCK | R3_FEATURE_EVTCHN | R3_FEATURE_MMU_UPDATE | R3_FEATURE_MULTICALL)

const struct pvg_ops *pvg_ops = &pvg_native_ops;

static const struct hvm_start_info *start_info;
static const char *cmdline = "";

const struct hvm_start_info *pvg_start_info(void)
{
	return start_info;
}

const char *pvg_cmdline(void)
{
	return cmdline;
}

bool pvg_option(const char *key, char *value, size_t size)
{
	size_t key_len = pvg_strlen(key);
	bool found = false;

	if (size)
		value[0] = '\0';
	for (const char *word = cmdline; *word;) {
		const char *end = pvg_strchr(word, ' ');
		size_t len = end ? (size_t)(end - word) : pvg_strlen(word);

		if (len > key_len && !pvg_strncmp(word, key, key_len) && word[key_len] == '=') {
			size_t value_len = len - key_len - 1;

			found = true;
			pvg_strlcpy(value, word + key_len + 1, value_len + 1 < size ? value_len + 1 : size);
		}
		word += len;
		while (*word == ' ')
			word++;
	}
	return found;
}

static bool hypercalls_answer(void)
{
	int64_t features;

	if (pvg_hypercall0(R3_HC_abi_version) != R3_ABI_VERSION)
		return false;
	features = pvg_hypercall0(R3_HC_features);
	return features > 0 && (features & FEATURES_NEEDED) == FEATURES_NEEDED;
}

static void choose_ops(void)
{
	char pv[OPTION_MAX];

	pvg_option("pv", pv, sizeof(pv));
	if (pvg_strcmp(pv, "off") && hypercalls_answer())
		pvg_ops = &pvg_paravirt_ops;
}

static void parse_start_info(const struct hvm_start_info *info)
{
	if (info->magic != HVM_START_MAGIC)
		pvg_panic("boot information at %p has magic %x, not %x", (const void *)info, info->magic,
			  HVM_START_MAGIC);
	start_info = info;
	if (info->cmdline_paddr)
		cmdline = pvg_gpa_to_ptr(info->cmdline_paddr);
}

_Noreturn void pvg_exit(unsigned status)
{
	pvg_irq_disable();
	pvg_console_flush();
	pvg_ops->exit(status > R3_EXIT_MAX ? R3_EXIT_MAX : status);
	__builtin_unreachable();
}

_Noreturn void pvg_start_c(const struct hvm_start_info *info, uint64_t bare)
{
	int status;

	info = bare ? pvg_bare_info(bare, (uint64_t)info) : pvg_gpa_to_ptr((uint64_t)info);
	parse_start_info(info);
	choose_ops();
	pvg_ops->init();
	pvg_traps_init();
	pvg_page_init(info);
	pvg_map_init();
	pvg_protect_init();
	pvg_irq_enable();

	pvg_constructors();
	status = main(cmdline);
	pvg_destructors();
	pvg_exit(status < 0 ? R3_EXIT_MAX : (unsigned)status);
}
