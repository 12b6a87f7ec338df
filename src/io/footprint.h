/*
 * footprint - how much memory the process keeps resident.
 */
#ifndef STANDPIPE_IO_FOOTPRINT_H
#define STANDPIPE_IO_FOOTPRINT_H

/*
 * Lets go of what only the start needed: code and constants of the program and its libraries (most of
 * them are libraries' initialisation; what is needed again comes back from the page cache, some 50
 * page faults in all), and the heap's free memory. Nothing that was written to is touched.
 */
void footprint_trim(void);

#endif
