"""A live target with a build: it is opened (flashed, booted, build proved), used and closed. No pytest here."""
