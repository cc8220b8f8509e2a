def programs(): return []
