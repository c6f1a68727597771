"""Parts of `agio bench stream`: the market, the API process, the subscribers, the peers."""
