chrome.tabs.query({}, show);
