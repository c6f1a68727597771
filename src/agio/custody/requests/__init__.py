"""Transfer requests: money leaves a vault by request only."""
