#include <stdio.h>

int main(void)
{
	puts("standpipe");
	return 0;
}
