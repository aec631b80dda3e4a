/* SPDX-License-Identifier: Apache-2.0
 * A disk that remembers: a FUSE file system whose file `disk` logs every write, flush and discard.
 *
 * usage: fuse-disk IMAGE LOG MOUNT_POINT
 * `disk` shows IMAGE, which is changed in place; a loop device over it carries the file system
 * under test. What is written to the file `mark` becomes a mark in the log, before the write
 * answers. A record of LOG is {u8 kind; u8[7] zero; u64 offset; u64 size}, little-endian, then
 * `size` bytes for a write (W) and a mark (M), none for a discard (D) and a flush (F). One thread
 * serves all, so the log is in the order of the answers. Runs in the foreground until it is
 * unmounted.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image = -1, journal = -1;
static off_t image_size;

static int IsDisk(const char* path) { return strcmp(path, "/disk") == 0; }
static int IsMark(const char* path) { return strcmp(path, "/mark") == 0; }

static int WriteAll(int file, const void* data, size_t size) {
  const char* at = data;
  while (size > 0) {
    const ssize_t n = write(file, at, size);
    if (n < 0 && errno != EINTR) return -errno;
    if (n <= 0) continue;
    at += n;
    size -= (size_t)n;
  }
  return 0;
}

static int Log(char kind, uint64_t offset, uint64_t size, const void* data) {
  struct {
    char kind[8];
    uint64_t offset, size;
  } head = {{kind}, offset, size};
  const int failure = WriteAll(journal, &head, sizeof head);
  return failure != 0 || data == NULL ? failure : WriteAll(journal, data, size);
}

static int GetAttr(const char* path, struct stat* st, struct fuse_file_info* file) {
  (void)file;
  memset(st, 0, sizeof *st);
  st->st_mode = S_IFREG | 0600;
  st->st_nlink = 1;
  if (strcmp(path, "/") == 0) {
    st->st_mode = S_IFDIR | 0700;
  } else if (IsDisk(path)) {
    st->st_size = image_size;
  } else if (!IsMark(path)) {
    return -ENOENT;
  }
  return 0;
}

static int ReadDir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t offset,
                   struct fuse_file_info* file, enum fuse_readdir_flags flags) {
  (void)path, (void)offset, (void)file, (void)flags;
  fill(buffer, "disk", NULL, 0, 0);
  fill(buffer, "mark", NULL, 0, 0);
  return 0;
}

static int Open(const char* path, struct fuse_file_info* file) {
  file->direct_io = IsMark(path) ? 1 : 0;
  return 0;
}

static int Read(const char* path, char* data, size_t size, off_t offset,
                struct fuse_file_info* file) {
  (void)file;
  if (!IsDisk(path)) return 0;
  const ssize_t n = pread(image, data, size, offset);
  return n < 0 ? -errno : (int)n;
}

static int Write(const char* path, const char* data, size_t size, off_t offset,
                 struct fuse_file_info* file) {
  (void)file;
  if (IsMark(path)) {
    const int failure = Log('M', 0, size, data);
    return failure != 0 ? failure : (int)size;
  }
  if (offset + (off_t)size > image_size) return -ENOSPC;
  const ssize_t n = pwrite(image, data, size, offset);
  if (n < 0) return -errno;
  const int failure = Log('W', (uint64_t)offset, (uint64_t)n, data);
  return failure != 0 ? failure : (int)n;
}

static int Flush(const char* path, int data_only, struct fuse_file_info* file) {
  (void)data_only, (void)file;
  return IsDisk(path) ? Log('F', 0, 0, NULL) : 0;
}

static int Allocate(const char* path, int mode, off_t offset, off_t size,
                    struct fuse_file_info* file) {
  (void)file;
  if (!IsDisk(path) || (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) == 0)
    return -EOPNOTSUPP;
  if (fallocate(image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) != 0)
    return -errno;
  return Log('D', (uint64_t)offset, (uint64_t)size, NULL);
}

static int Truncate(const char* path, off_t size, struct fuse_file_info* file) {
  (void)file;
  return IsMark(path) || size == image_size ? 0 : -EPERM;
}

static const struct fuse_operations operations = {
    .getattr = GetAttr,
    .readdir = ReadDir,
    .open = Open,
    .read = Read,
    .write = Write,
    .fsync = Flush,
    .fallocate = Allocate,
    .truncate = Truncate,
};

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: fuse-disk IMAGE LOG MOUNT_POINT\n", stderr);
    return 2;
  }
  image = open(argv[1], O_RDWR | O_CLOEXEC);
  journal = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  struct stat st;
  if (image < 0 || journal < 0 || fstat(image, &st) != 0) {
    perror("fuse-disk");
    return 1;
  }
  image_size = st.st_size;
  char foreground[] = "-f", single[] = "-s";
  char* arguments[] = {argv[0], foreground, single, argv[3], NULL};
  return fuse_main(4, arguments, &operations, NULL);
}
