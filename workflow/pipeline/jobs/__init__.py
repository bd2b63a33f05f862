"""What the scripts of all jobs share."""
