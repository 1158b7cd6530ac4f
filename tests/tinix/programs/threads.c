/*
 * Threads under this C library: they work, or pthread_create says no. They never hang.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int sum;

static void *add(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&lock);
		sum += *(int *)arg;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[4];
	int numbers[4] = {1, 2, 3, 4};
	int started = 0;

	while (started < 4 && pthread_create(&thread[started], NULL, add, &numbers[started]) == 0)
		started++;
	for (int i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	puts(started == 4 && sum == 10000 ? "threads work" : started == 0 ? "threads refused" : "threads half work");
	return started != 0 && (started != 4 || sum != 10000);
}
