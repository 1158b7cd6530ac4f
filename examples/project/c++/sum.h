/*
 * Something to test, and to step through.
 */
#ifndef SUM_H
#define SUM_H

/* Adds up what it is given. */
class Sum
{
      public:
	void add(unsigned long number);
	unsigned long total() const;

      private:
	unsigned long total_ = 0;
};

/* 0 + 1 + ... + last. */
unsigned long sum_to(unsigned long last);

#endif
