/* Only to be found. */
int needle_value(void);

int needle_value(void)
{
	return 1;
}
