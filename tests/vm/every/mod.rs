mod doctor;
mod links;
mod offload;
mod offload_intent;
mod role_facts;
mod stack;
