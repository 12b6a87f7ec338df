#include "io/privilege.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct passwd *find(const char *user)
{
	const struct passwd *entry = getpwnam(user);
	char *end;
	if (entry || !isdigit((unsigned char)*user))
		return entry;
	unsigned long id = strtoul(user, &end, 10);
	return *end ? NULL : getpwuid((uid_t)id);
}

int privilege_drop(const char *user, struct error *error)
{
	const struct passwd *entry = find(user);
	if (!entry)
		return error_set(error, "user", 0, "there is no user %.128s", user);
	if (geteuid() == entry->pw_uid && getuid() == entry->pw_uid)
		return 0;
	if (geteuid() != 0)
		return error_set(error, "user", EPERM,
			"can't become %.128s: only root can; start it as that user, and leave "
			"`user` out",
			user);
	/* A change of user clears it. */
	int parent_death_signal = 0;
	prctl(PR_GET_PDEATHSIG, &parent_death_signal, 0, 0, 0);
	if (initgroups(entry->pw_name, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
		setuid(entry->pw_uid) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, parent_death_signal, 0, 0, 0) < 0)
		return error_set(
			error, "user", errno, "can't become %.128s: %s", user, strerror(errno));
	/* It must not be possible to go back. */
	if (entry->pw_uid != 0 && setuid(0) == 0)
		return error_set(error, "user", 0, "did not lose the privileges of root");
	return 0;
}

long privilege_descriptors(long count)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return count;
	rlim_t wanted = (rlim_t)count, was = limit.rlim_max;
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
		return count;
	limit.rlim_cur = wanted;
	if (was != RLIM_INFINITY && was < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return count;
	limit.rlim_cur = limit.rlim_max = was;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return (long)limit.rlim_cur;
}
