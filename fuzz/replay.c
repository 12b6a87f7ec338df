/*
 * replay - runs a target once over each file of the folder it is given: every corpus is a test,
 * with any compiler.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "target.h"

#define FILE_MAX ((size_t)1024 * 1024)

static void replay(const char *folder, const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	uint8_t *data = malloc(FILE_MAX);
	if (!file || !data) {
		perror(path);
		exit(1);
	}
	puts(path);
	fflush(stdout); /* the last one is what crashed */
	size_t len = fread(data, 1, FILE_MAX, file);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	fclose(file);
}

int main(int argc, char **argv)
{
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	if (!folder) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	int count = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] == '.')
			continue;
		replay(argv[1], entry->d_name);
		count++;
	}
	closedir(folder);
	return count > 0 ? 0 : 1;
}
