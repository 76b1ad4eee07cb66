"""Whether anything becomes slower as the system grows: the same requests, beside few rows and many."""
