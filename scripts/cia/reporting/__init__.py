"""The report: sheets of pictures, figures and tables, drawn from the workflow's own files."""
