package sallyport.statement

decision := {"effect": "deny", "reasons": [], "record": true}
