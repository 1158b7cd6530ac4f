/*
 * printf's formatting, without floating point.
 */
#include "pvguest/internal.h"

#define DIGITS_MAX 20 /* of 2^64 - 1 in decimal */

struct sink {
	void (*emit)(void *arg, char c);
	void *arg;
	int count;
};

struct spec {
	bool left, zero, plus, upper;
	bool has_precision;
	unsigned width, precision;
	unsigned longs; /* l, ll, z: at least 1 */
};

static void put(struct sink *sink, char c)
{
	sink->emit(sink->arg, c);
	sink->count++;
}

static void pad(struct sink *sink, char c, size_t len, size_t width)
{
	for (; len < width; len++)
		put(sink, c);
}

static void put_text(struct sink *sink, const struct spec *spec, const char *text)
{
	size_t len = 0;

	if (!text)
		text = "(null)";
	while ((!spec->has_precision || len < spec->precision) && text[len])
		len++;
	if (!spec->left)
		pad(sink, ' ', len, spec->width);
	for (size_t i = 0; i < len; i++)
		put(sink, text[i]);
	if (spec->left)
		pad(sink, ' ', len, spec->width);
}

static void put_number(struct sink *sink, const struct spec *spec, uint64_t value, unsigned base, const char *prefix)
{
	const char *digits = spec->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[DIGITS_MAX];
	size_t len = 0, total;

	do {
		text[len++] = digits[value % base];
		value /= base;
	} while (value);
	total = len + pvg_strlen(prefix);
	if (!spec->left && !spec->zero)
		pad(sink, ' ', total, spec->width);
	while (*prefix)
		put(sink, *prefix++);
	if (!spec->left && spec->zero)
		pad(sink, '0', total, spec->width);
	while (len)
		put(sink, text[--len]);
	if (spec->left)
		pad(sink, ' ', total, spec->width);
}

static void put_signed(struct sink *sink, const struct spec *spec, int64_t value)
{
	if (value < 0)
		put_number(sink, spec, 0 - (uint64_t)value, 10, "-");
	else
		put_number(sink, spec, (uint64_t)value, 10, spec->plus ? "+" : "");
}

static unsigned parse_number(const char **format)
{
	unsigned value = 0;

	while (**format >= '0' && **format <= '9')
		value = value * 10 + (unsigned)(*(*format)++ - '0');
	return value;
}

static struct spec parse_spec(const char **format, va_list *args)
{
	struct spec spec = {0};

	for (;; (*format)++) {
		if (**format == '-')
			spec.left = true;
		else if (**format == '0')
			spec.zero = true;
		else if (**format == '+')
			spec.plus = true;
		else
			break;
	}
	if (**format == '*') {
		spec.width = va_arg(*args, unsigned);
		(*format)++;
	} else {
		spec.width = parse_number(format);
	}
	if (**format == '.') {
		(*format)++;
		spec.has_precision = true;
		if (**format == '*') {
			spec.precision = va_arg(*args, unsigned);
			(*format)++;
		} else {
			spec.precision = parse_number(format);
		}
	}
	for (; **format == 'l' || **format == 'z'; (*format)++)
		spec.longs++;
	return spec;
}

static void convert(struct sink *sink, struct spec *spec, char conversion, va_list *args)
{
	switch (conversion) {
	case 'd':
	case 'i':
		put_signed(sink, spec, spec->longs ? va_arg(*args, int64_t) : va_arg(*args, int));
		break;
	case 'u':
		put_number(sink, spec, spec->longs ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), 10, "");
		break;
	case 'X':
		spec->upper = true;
		/* fall through */
	case 'x':
		put_number(sink, spec, spec->longs ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), 16, "");
		break;
	case 'p':
		put_number(sink, spec, (uint64_t)va_arg(*args, void *), 16, "0x");
		break;
	case 's':
		put_text(sink, spec, va_arg(*args, const char *));
		break;
	case 'c':
		put(sink, (char)va_arg(*args, int));
		break;
	default: /* %% and what we do not know */
		put(sink, conversion);
	}
}

int pvg_format(void (*emit)(void *arg, char c), void *arg, const char *format, va_list args)
{
	struct sink sink = {emit, arg, 0};
	va_list copy;

	va_copy(copy, args);
	while (*format) {
		struct spec spec;

		if (*format != '%') {
			put(&sink, *format++);
			continue;
		}
		format++;
		spec = parse_spec(&format, &copy);
		if (!*format)
			break;
		convert(&sink, &spec, *format++, &copy);
	}
	va_end(copy);
	return sink.count;
}

struct text_sink {
	char *to;
	size_t size, len;
};

static void emit_text(void *arg, char c)
{
	struct text_sink *text = arg;

	if (text->len + 1 < text->size)
		text->to[text->len++] = c;
}

int pvg_vsnprintf(char *to, size_t size, const char *format, va_list args)
{
	struct text_sink text = {to, size, 0};
	int count = pvg_format(emit_text, &text, format, args);

	if (size)
		to[text.len] = '\0';
	return count;
}

int pvg_snprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;
	int count;

	va_start(args, format);
	count = pvg_vsnprintf(to, size, format, args);
	va_end(args);
	return count;
}
