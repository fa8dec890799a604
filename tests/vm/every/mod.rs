mod role_facts;
