package sallyport.session

decision := {"effect": "allow", "reasons": [], "grant": {"mode": "sometimes", "record": true}}
