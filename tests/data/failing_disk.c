/* A disk that fails when it is told to, for tests/disk.rs: preloaded into the server, asked through the presence of files.
   FAIL_FLUSH: fsync and fdatasync fail as a dying disk makes them fail. FAIL_WRITE: regular files cannot grow any more. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int told(const char *name) {
    const char *path = getenv(name);
    return path && access(path, F_OK) == 0;
}

static int full(int fd, off_t end) {
    struct stat found;
    if (!told("FAIL_WRITE")) return 0;
    return fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && end > found.st_size;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (told("FAIL_FLUSH")) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (told("FAIL_FLUSH")) { errno = EIO; return -1; }
    return real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0 && full(fd, at + (off_t)count)) { errno = ENOSPC; return -1; }
    return real(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (full(fd, at + (off_t)count)) { errno = ENOSPC; return -1; }
    return real(fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (full(fd, at + (off_t)count)) { errno = ENOSPC; return -1; }
    return real(fd, bytes, count, at);
}
