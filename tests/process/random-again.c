/* Draws from every generator that is installed, whenever a line comes. Named by their functions, not
 * by their headers: none of them needs to be there. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEN 16

static void tell(const char *name, const unsigned char *bytes)
{
	printf("%s", name);
	for (int i = 0; i < LEN; i++)
		printf("%s%02x", i ? "" : " ", bytes[i]);
	printf("\n");
}

static int (*public_bytes)(unsigned char *, int), (*private_bytes)(unsigned char *, int);
static void (*gcrypt_nonce)(void *, size_t), (*gcrypt_random)(void *, size_t, int);
static void (*libc_bytes)(void *, size_t);

static void *open_library(const char *name)
{
	return dlopen(name, RTLD_NOW);
}

static void open_all(void)
{
	void *crypto = open_library("libcrypto.so.3"), *gcrypt = open_library("libgcrypt.so.20");

	if (crypto) {
		public_bytes = (int (*)(unsigned char *, int))dlsym(crypto, "RAND_bytes");
		private_bytes = (int (*)(unsigned char *, int))dlsym(crypto, "RAND_priv_bytes");
	}
	if (gcrypt) {
		((const char *(*)(const char *))dlsym(gcrypt, "gcry_check_version"))(NULL);
		gcrypt_nonce = (void (*)(void *, size_t))dlsym(gcrypt, "gcry_create_nonce");
		gcrypt_random = (void (*)(void *, size_t, int))dlsym(gcrypt, "gcry_randomize");
	}
	libc_bytes = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "arc4random_buf");
}

static void draw(int is_told)
{
	unsigned char bytes[5][LEN] = {{0}};

	if (public_bytes)
		public_bytes(bytes[0], LEN), private_bytes(bytes[1], LEN);
	if (gcrypt_nonce)
		gcrypt_nonce(bytes[2], LEN), gcrypt_random(bytes[3], LEN, 1 /* strong */);
	if (libc_bytes)
		libc_bytes(bytes[4], LEN);
	if (!is_told)
		return;
	static const char *const names[] = {"openssl", "openssl-private", "gcrypt-nonce", "gcrypt",
					    "libc"};
	for (int i = 0; i < 5; i++)
		if (memcmp(bytes[i], (unsigned char[LEN]){0}, LEN) != 0)
			tell(names[i], bytes[i]);
	printf("pid %s\n", getpid() == syscall(SYS_getpid) ? "right" : "wrong");
	fflush(stdout);
}

int main(void)
{
	char line[16];

	open_all();
	draw(0); /* all are seeded */
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, line, sizeof(line)) > 0)
		draw(1);
	return 0;
}
