"""From records to tables, pages and pictures."""
