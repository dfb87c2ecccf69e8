"""Files → Commune: the only reader of what a town hall writes by hand."""
