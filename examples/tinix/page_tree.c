/*
 * The pages of a file by index: a radix tree of pages of 512 pointers, as high as the highest index asks for.
 */
#include "examples/tinix/fs.h"

#define FANOUT	   (PAGE_SIZE / sizeof(void *))
#define BITS	   9
#define HEIGHT_MAX 3 /* 512 GiB */

uint64_t tree_pages_of_all;

static void count(struct page_tree *tree, int change)
{
	tree->pages += (uint64_t)change;
	tree_pages_of_all += (uint64_t)change;
}

/* Indexes below this fit into a tree of that height. */
static uint64_t capacity(unsigned height)
{
	return 1ull << (BITS * height);
}

void *tree_find(const struct page_tree *tree, uint64_t index)
{
	void *node = tree->root;

	if (index >= capacity(tree->height))
		return NULL;
	for (unsigned height = tree->height; height && node; height--)
		node = ((void **)node)[(index >> (BITS * (height - 1))) % FANOUT];
	return node;
}

/* Puts levels on top until the index fits. */
static bool grow(struct page_tree *tree, uint64_t index)
{
	while (index >= capacity(tree->height)) {
		void **top;

		if (tree->height == HEIGHT_MAX)
			return false;
		if (tree->root) {
			top = page_new();
			if (!top)
				return false;
			top[0] = tree->root;
			tree->root = top;
		}
		tree->height++;
	}
	return true;
}

void *tree_make(struct page_tree *tree, uint64_t index)
{
	void **slot = &tree->root;

	if (!grow(tree, index))
		return NULL;
	for (unsigned height = tree->height;; height--) {
		if (!*slot) {
			*slot = page_new();
			if (*slot && !height)
				count(tree, 1);
		}
		if (!*slot || !height)
			return *slot;
		slot = (void **)*slot + (index >> (BITS * (height - 1))) % FANOUT;
	}
}

/* Drops what lies at `from` or behind, counted from the node's own first page. True if the node is gone altogether. */
static bool cut(struct page_tree *tree, void *node, unsigned height, uint64_t from)
{
	void **children = node;
	uint64_t each = height ? capacity(height - 1) : 0;

	if (!height && from)
		return false;
	if (!height)
		count(tree, -1);
	for (uint64_t i = height ? from / each : FANOUT; i < FANOUT; i++) {
		uint64_t start = i * each;

		if (children[i] && cut(tree, children[i], height - 1, from > start ? from - start : 0))
			children[i] = NULL;
	}
	if (from)
		return false;
	page_put(node);
	return true;
}

void tree_cut(struct page_tree *tree, uint64_t from)
{
	if (tree->root && cut(tree, tree->root, tree->height, from))
		tree->root = NULL;
	if (!tree->root)
		tree->height = 0;
}
