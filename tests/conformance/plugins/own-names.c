/* Names that are libc's as well, and of other kinds. */
int err = 7;
int own_err(void);
int own_error(int a);
int error(int a);
const char *const errx = "mine";
const char *own_errx(void);

int error(int a)
{
	return a + err;
}

int own_err(void)
{
	return err++;
}

int own_error(int a)
{
	return error(a);
}

const char *own_errx(void)
{
	return errx;
}
