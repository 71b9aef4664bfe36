"""What is checked once a site is read: ratings, links, meters, batteries, protection, schedules, texts."""
