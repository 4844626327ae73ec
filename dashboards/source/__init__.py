"""The one source of the dashboards, from which both languages are generated."""
