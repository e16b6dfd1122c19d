"""Files at an address, such as `s3://BUCKET/PREFIX`, in the place of a directory that every machine sees."""
