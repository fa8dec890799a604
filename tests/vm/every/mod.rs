mod links;
mod role_facts;
mod stack;
