"""A live target with a build: opened (flashed, booted, proved to run the build), used, closed. No pytest here."""
