/* Kills the program it is loaded into (LD_PRELOAD) at its Nth durable step.
 *
 * A step is a system call that makes a file below POINT_ROOT, writes to it, syncs, renames or removes it. Some
 * callers go through libc and some call the kernel themselves, so it is the kernel that stops here (seccomp's trap),
 * and the handler makes the call again with a mark that lets it pass.
 *
 * POINT_N counts from 1; POINT_WHEN is "before" or "after". With POINT_WHEN=fail nobody is killed: from the Nth step on
 * all fail with the number POINT_ERRNO, and only paths with POINT_ONLY in them (and the root) count. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MARK 0x6d657368

static const char *root;
static long target;
static int after;
static const char *only;
static long failure;
static long count;

static const int calls[] = {
    SYS_write, SYS_writev, SYS_pwrite64, SYS_ftruncate, SYS_fsync, SYS_fdatasync,
    SYS_openat, SYS_mkdirat, SYS_renameat, SYS_renameat2, SYS_linkat, SYS_unlinkat,
#ifdef SYS_open
    SYS_open, SYS_mkdir, SYS_rename, SYS_link, SYS_unlink, SYS_rmdir,
#endif
};
#define CALLS ((int)(sizeof calls / sizeof calls[0]))

static long pass(long number, const long *a) {
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], (long)MARK);
    return result < 0 ? -errno : result;
}

/* Relative paths count from the root: the program is started there. */
static int below(const char *path) {
    if (!path || (path[0] == '/' && strncmp(path, root, strlen(root)) != 0)) return 0;
    return !only || strstr(path, only) || strcmp(path, root) == 0;
}

static int file_below(long descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%ld", descriptor);
    long length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = 0;
    return below(path);
}

static int is_step(long number, const long *a) {
    switch (number) {
    case SYS_write: case SYS_writev: case SYS_pwrite64: case SYS_ftruncate: case SYS_fsync: case SYS_fdatasync:
        return file_below(a[0]);
    case SYS_openat: return (a[2] & O_CREAT) && below((const char *)a[1]);
    case SYS_mkdirat: case SYS_unlinkat: case SYS_renameat: case SYS_renameat2: case SYS_linkat:
        return below((const char *)a[1]);
#ifdef SYS_open
    case SYS_open: return (a[1] & O_CREAT) && below((const char *)a[0]);
    case SYS_mkdir: case SYS_rename: case SYS_link: case SYS_unlink: case SYS_rmdir:
        return below((const char *)a[0]);
#endif
    }
    return 0;
}

static void on_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    int saved = errno;
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
    greg_t *r = machine->gregs;
    long a[5] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8]};
#elif defined(__aarch64__)
    unsigned long long *r = machine->regs;
    long a[5] = {r[0], r[1], r[2], r[3], r[4]};
#else
#error "the registers of this machine are not known here"
#endif
    long step = is_step(info->si_syscall, a) ? __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) : 0;
    int met = step == target && !failure;
    if (met && !after) kill(getpid(), SIGKILL);
    long result = failure && step >= target ? -failure : pass(info->si_syscall, a);
    if (met && after) kill(getpid(), SIGKILL);
#if defined(__x86_64__)
    r[REG_RAX] = result;
#else
    r[0] = result;
#endif
    errno = saved;
}

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("POINT_N"), *when = getenv("POINT_WHEN");
    root = getenv("POINT_ROOT");
    if (!number || !when || !root) return;
    target = atol(number);
    after = strcmp(when, "after") == 0;
    if (strcmp(when, "fail") == 0) {
        only = getenv("POINT_ONLY");
        failure = atol(getenv("POINT_ERRNO") ? getenv("POINT_ERRNO") : "5");
    }
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
    struct sock_filter filter[CALLS + 6];
    int n = 0;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < CALLS; i++)
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], CALLS - i, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("seccomp");
        _exit(99);
    }
}
