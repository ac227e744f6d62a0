// Only time.
for (;;)
	;
